// A causal depthwise convolution, with or without SiLU behind it, and its gradient, on a CPU:
//
//     s_t = bias + sum_j w_j x_{t - taps + 1 + j},   y_t = s_t sigmoid(s_t), or s_t
//
// Channels lie side by side and are a vector's lanes. Nothing is kept for the gradient, which computes s anew. A task is a
// stretch of SPAN steps of one sequence; sums over tasks are taken in one order afterwards, so results do not depend on
// the number of threads.

#include "simd.h"

struct Strided {  // [batch, step, channel], channels side by side; strides in elements
  void* data;
  int64_t batch, step;
};

struct Problem {
  int64_t batch, length, channels, taps, silu, threads;
  Strided x, y;
  void *weight, *bias;  // [taps, channels], [channels]; bias: null where there is none
  Strided grad_y, grad_x;
  void *grad_weight, *grad_bias;
};

namespace {

constexpr int64_t SPAN = 128;
constexpr int64_t ELEMENTS_A_THREAD = 1 << 16;  // fewer are not worth starting a thread

int64_t spans(const Problem& problem) { return (problem.length + SPAN - 1) / SPAN; }

// One stretch of one sequence, a vector of channels after the other.
template <typename T>
struct Stretch {
  const Problem& problem;
  const int64_t sequence, start, steps, taps;

  Stretch(const Problem& problem, int64_t index)
      : problem(problem), sequence(index / spans(problem)), start(index % spans(problem) * SPAN),
        steps(std::min(SPAN, problem.length - start)), taps(problem.taps) {}

  T* at(const Strided& of, int64_t step, int64_t channel) const {
    return static_cast<T*>(of.data) + sequence * of.batch + step * of.step + channel;
  }

  INLINE Vector<T> get(const T* from, int64_t lanes) const {
    if (lanes == WIDTH<T>) return load<Vector<T>>(from);
    T values[WIDTH<T>] = {};
    std::memcpy(values, from, lanes * sizeof(T));
    return load<Vector<T>>(values);
  }
  INLINE void put(T* to, Vector<T> value, int64_t lanes) const { std::memcpy(to, &value, lanes * sizeof(T)); }

  // x from `first` on, zeros before the sequence and behind it, [step].
  INLINE void read(const Strided& from, int64_t first, int64_t count, int64_t channel, int64_t lanes, Vector<T>* to) const {
    for (int64_t t = first; t < first + count; ++t)
      to[t - first] = t < 0 || t >= problem.length ? Vector<T>{} : get(at(from, t, channel), lanes);
  }

  INLINE Vector<T> weight(int64_t tap, int64_t channel, int64_t lanes) const {
    return get(static_cast<const T*>(problem.weight) + tap * problem.channels + channel, lanes);
  }

  // s of `count` steps from inputs that begin taps - 1 steps earlier.
  INLINE void convolve(const Vector<T>* x, int64_t count, int64_t channel, int64_t lanes, Vector<T>* s) const {
    const Vector<T> bias =
        problem.bias == nullptr ? Vector<T>{} : get(static_cast<const T*>(problem.bias) + channel, lanes);
    if (taps == 4) {  // the usual number, with its weights in registers
      const Vector<T> w[] = {weight(0, channel, lanes), weight(1, channel, lanes), weight(2, channel, lanes),
                             weight(3, channel, lanes)};
      for (int64_t t = 0; t < count; ++t)
        s[t] = (bias + w[0] * x[t]) + w[1] * x[t + 1] + w[2] * x[t + 2] + w[3] * x[t + 3];
      return;
    }
    for (int64_t t = 0; t < count; ++t) s[t] = bias;
    for (int64_t j = 0; j < taps; ++j) {
      const Vector<T> w = weight(j, channel, lanes);
      for (int64_t t = 0; t < count; ++t) s[t] += w * x[t + j];
    }
  }

  void forward(const Buffer<T>& space) const {
    Vector<T>*x = reinterpret_cast<Vector<T>*>(space.data()), *s = x + SPAN + 2 * taps;
    for (int64_t channel = 0; channel < problem.channels; channel += WIDTH<T>) {
      const int64_t lanes = std::min<int64_t>(WIDTH<T>, problem.channels - channel);
      read(problem.x, start - taps + 1, steps + taps - 1, channel, lanes, x);
      convolve(x, steps, channel, lanes, s);
      for (int64_t t = 0; t < steps; ++t)
        put(at(problem.y, start + t, channel), problem.silu ? s[t] * sigmoid<T>(s[t]) : s[t], lanes);
    }
  }

  // grad_x of the stretch; to `sums` [taps + 1][channels] what it adds to the gradients of weights and bias.
  void backward(const Buffer<T>& space, T* sums) const {
    // Outputs up to taps - 1 steps behind the stretch have read it.
    const int64_t reach = std::min(steps + taps - 1, problem.length - start);
    Vector<T>*x = reinterpret_cast<Vector<T>*>(space.data()), *s = x + SPAN + 2 * taps, *g = s + SPAN + 2 * taps;
    for (int64_t channel = 0; channel < problem.channels; channel += WIDTH<T>) {
      const int64_t lanes = std::min<int64_t>(WIDTH<T>, problem.channels - channel);
      read(problem.x, start - taps + 1, reach + taps - 1, channel, lanes, x);
      read(problem.grad_y, start, steps + taps - 1, channel, lanes, g);
      if (problem.silu) {
        convolve(x, reach, channel, lanes, s);
        for (int64_t t = 0; t < reach; ++t) {
          const Vector<T> gate = sigmoid<T>(s[t]);
          g[t] *= gate * (s[t] * (T(1) - gate) + T(1));
        }
      }
      Vector<T> to_bias = {};
      for (int64_t t = 0; t < steps; ++t) to_bias += g[t];
      put(sums + taps * problem.channels + channel, to_bias, lanes);
      for (int64_t t = 0; t < steps; ++t) s[t] = Vector<T>{};
      for (int64_t j = 0; j < taps; ++j) {
        const Vector<T> w = weight(j, channel, lanes);
        Vector<T> to_weight[2] = {};
        for (int64_t t = 0; t < steps; ++t) {
          s[t] += w * g[t + taps - 1 - j];
          to_weight[t & 1] += g[t] * x[t + j];
        }
        put(sums + j * problem.channels + channel, to_weight[0] + to_weight[1], lanes);
      }
      for (int64_t t = 0; t < steps; ++t) put(at(problem.grad_x, start + t, channel), s[t], lanes);
    }
  }
};

template <typename T>
void solve(const Problem& problem, bool backward) {
  const int64_t tasks = problem.batch * spans(problem), row = (problem.taps + 1) * problem.channels;
  const int64_t threads = std::max<int64_t>(
      1, std::min(problem.threads, problem.batch * problem.length * problem.channels / ELEMENTS_A_THREAD));
  Buffer<T> sums(backward ? tasks * row : 0);
  in_parallel(tasks, threads, [&](int64_t index) {
    const Buffer<T> space(3 * (SPAN + 2 * problem.taps) * WIDTH<T>);
    const Stretch<T> stretch(problem, index);
    backward ? stretch.backward(space, sums + index * row) : stretch.forward(space);
  });
  if (!backward) return;
  for (int64_t task = 1; task < tasks; ++task)
    for (int64_t i = 0; i < row; ++i) sums[i] += sums[task * row + i];
  std::memcpy(problem.grad_weight, sums.data(), problem.taps * problem.channels * sizeof(T));
  if (problem.grad_bias != nullptr)
    std::memcpy(problem.grad_bias, sums + problem.taps * problem.channels, problem.channels * sizeof(T));
}

}  // namespace

extern "C" {
void forward_float32(const Problem* problem) { solve<float>(*problem, false); }
void forward_float64(const Problem* problem) { solve<double>(*problem, false); }
void backward_float32(const Problem* problem) { solve<float>(*problem, true); }
void backward_float64(const Problem* problem) { solve<double>(*problem, true); }
}
