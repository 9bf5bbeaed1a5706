// minGRU's recurrence (arXiv 2410.01201) and its gradient on a CPU, from what the gate and the candidate are made of:
//
//     z = sigmoid(gate),  c = candidate + 1/2 where that is at least 1/2, else sigmoid(candidate),
//     h_t = (1 - z_t) h_{t-1} + z_t c_t
//
// Channels lie side by side and are a vector's lanes. The gradient needs h alone, which is the output. Tasks, a vector of
// channels of one sequence each, share nothing, so results do not depend on the number of threads.

#include "simd.h"

struct Strided {  // [batch, step, channel], channels side by side; strides in elements
  void* data;
  int64_t batch, step;
};

struct Problem {
  int64_t batch, length, channels, threads;
  Strided gate, candidate, h, grad_h, grad_gate, grad_candidate;
};

namespace {

constexpr int64_t ELEMENTS_A_THREAD = 1 << 16;  // fewer are not worth starting a thread

template <typename T>
struct Lane {  // so many neighbouring channels of one sequence
  const Problem& problem;
  const int64_t groups, sequence, channel, lanes;

  static int64_t group_count(const Problem& problem) { return (problem.channels + WIDTH<T> - 1) / WIDTH<T>; }
  Lane(const Problem& problem, int64_t index)
      : problem(problem), groups(group_count(problem)), sequence(index / groups), channel(index % groups * WIDTH<T>),
        lanes(std::min<int64_t>(WIDTH<T>, problem.channels - channel)) {}

  INLINE Vector<T> get(const Strided& from, int64_t step) const {
    const T* place = static_cast<const T*>(from.data) + sequence * from.batch + step * from.step + channel;
    if (lanes == WIDTH<T>) return load<Vector<T>>(place);
    T values[WIDTH<T>] = {};
    std::memcpy(values, place, lanes * sizeof(T));
    return load<Vector<T>>(values);
  }
  INLINE void put(const Strided& to, int64_t step, Vector<T> value) const {
    std::memcpy(static_cast<T*>(to.data) + sequence * to.batch + step * to.step + channel, &value, lanes * sizeof(T));
  }

  void forward() const {
    Vector<T> h = {};
    for (int64_t t = 0; t < problem.length; ++t) {
      const Vector<T> z = sigmoid<T>(get(problem.gate, t)), x = get(problem.candidate, t), low = sigmoid<T>(x);
      const Vector<T> c = x >= all<T>(0) ? x + T(0.5) : low;
      h += z * (c - h);
      put(problem.h, t, h);
    }
  }

  void backward() const {
    Vector<T> later = {};
    for (int64_t t = problem.length - 1; t >= 0; --t) {
      const Vector<T> z = sigmoid<T>(get(problem.gate, t)), x = get(problem.candidate, t), low = sigmoid<T>(x);
      const auto rising = x >= all<T>(0);
      const Vector<T> c = rising ? x + T(0.5) : low, slope = rising ? all<T>(1) : low * (T(1) - low);
      const Vector<T> before = t > 0 ? get(problem.h, t - 1) : Vector<T>{}, grad = get(problem.grad_h, t) + later;
      put(problem.grad_gate, t, grad * (c - before) * z * (T(1) - z));
      put(problem.grad_candidate, t, grad * z * slope);
      later = grad * (T(1) - z);
    }
  }
};

template <typename T>
void solve(const Problem& problem, bool backward) {
  const int64_t threads = std::max<int64_t>(
      1, std::min(problem.threads, problem.batch * problem.length * problem.channels / ELEMENTS_A_THREAD));
  in_parallel(problem.batch * Lane<T>::group_count(problem), threads, [&](int64_t index) {
    const Lane<T> lane(problem, index);
    backward ? lane.backward() : lane.forward();
  });
}

}  // namespace

extern "C" {
void forward_float32(const Problem* problem) { solve<float>(*problem, false); }
void forward_float64(const Problem* problem) { solve<double>(*problem, false); }
void backward_float32(const Problem* problem) { solve<float>(*problem, true); }
void backward_float64(const Problem* problem) { solve<double>(*problem, true); }
}
