// Norms over the groups of a row's channels, with the gate before or behind, and their gradient, on a CPU:
//
//     u = x, or x silu(gate);   y = (u - mean(u)) r weight + bias,   r = 1 / sqrt(mean((u - mean(u))^2) + eps),
//     then y silu(gate) where the gate stands behind
//
// mean(u) is left out unless asked for, as a root mean square norm does. Nothing is kept for the gradient. A task is a
// stretch of ROWS rows; sums over tasks are taken in one order, so results do not depend on the number of threads.

#include "simd.h"

struct Strided {  // [row, channel], channels side by side; strides in elements
  void* data;
  int64_t row;
};

struct Problem {
  int64_t rows, groups, size, centered, gate_first, threads;  // size: channels of a group
  double* eps;
  void *weight, *bias;  // [groups * size]; null: 1, 0
  Strided x, gate, y;   // gate: null where there is none
  Strided grad_y, grad_x, grad_gate;
  void *grad_weight, *grad_bias;
};

namespace {

constexpr int64_t ROWS = 256;
constexpr int64_t ELEMENTS_A_THREAD = 1 << 16;  // fewer are not worth starting a thread

enum Gate { none, before, behind };  // the norm

// whole: a group fills its vectors.
template <typename T, Gate gated, bool centered, bool whole>
struct Stretch {
  const Problem& problem;
  const int64_t first, rows, size, vectors;
  const T eps;
  Buffer<T> u, s, g;  // of one group of one row, filled up with zeros: what r scales; silu(gate); dL/d(u r)

  Stretch(const Problem& problem, int64_t index)
      : problem(problem), first(index * ROWS), rows(std::min(ROWS, problem.rows - first)), size(problem.size),
        vectors((size + WIDTH<T> - 1) / WIDTH<T>), eps(*problem.eps), u(vectors * WIDTH<T>),
        s(vectors * WIDTH<T>), g(vectors * WIDTH<T>) {}

  T* at(const Strided& of, int64_t row, int64_t group) const {
    return static_cast<T*>(of.data) + (first + row) * of.row + group * size;
  }

  // Vector i of a group, zeros beyond its end.
  INLINE Vector<T> get(const T* from, int64_t i) const {
    const int64_t lanes = size - i * WIDTH<T>;
    if (whole || lanes >= WIDTH<T>) return load<Vector<T>>(from + i * WIDTH<T>);
    T values[WIDTH<T>] = {};
    std::memcpy(values, from + i * WIDTH<T>, lanes * sizeof(T));
    return load<Vector<T>>(values);
  }
  INLINE void put(T* to, int64_t i, Vector<T> value) const {
    const int64_t lanes = size - i * WIDTH<T>;
    if (whole || lanes >= WIDTH<T>)
      store(to + i * WIDTH<T>, value);
    else
      std::memcpy(to + i * WIDTH<T>, &value, lanes * sizeof(T));
  }
  static INLINE Vector<T> held(const Buffer<T>& of, int64_t i) { return load<Vector<T>>(of + i * WIDTH<T>); }
  static INLINE void hold(const Buffer<T>& of, int64_t i, Vector<T> value) { store(of + i * WIDTH<T>, value); }

  INLINE Vector<T> scaled(Vector<T> normed, int64_t group, int64_t i) const {
    return problem.weight == nullptr ? normed : normed * get(static_cast<const T*>(problem.weight) + group * size, i);
  }
  INLINE Vector<T> moved(Vector<T> value, int64_t group, int64_t i) const {
    return problem.bias == nullptr ? value : value + get(static_cast<const T*>(problem.bias) + group * size, i);
  }

  // Fills u and s; returns r.
  INLINE T prepare(int64_t row, int64_t group) const {
    const T *x = at(problem.x, row, group), *gate = gated == none ? nullptr : at(problem.gate, row, group);
    Vector<T> sum = {}, squares = {};
    for (int64_t i = 0; i < vectors; ++i) {
      Vector<T> value = get(x, i);
      if (gated != none) {
        const Vector<T> opened = get(gate, i) * sigmoid<T>(get(gate, i));
        hold(s, i, opened);
        if (gated == before) value *= opened;
      }
      centered ? sum += value : squares += value * value;
      hold(u, i, value);
    }
    if (centered) {
      const T mean = sum_of_lanes(sum) / T(size);
      for (int64_t i = 0; i < vectors; ++i) hold(u, i, held(u, i) - mean);
      for (int64_t c = size; c < vectors * WIDTH<T>; ++c) u[c] = 0;
      for (int64_t i = 0; i < vectors; ++i) squares += held(u, i) * held(u, i);
    }
    return T(1) / std::sqrt(sum_of_lanes(squares) / T(size) + eps);
  }

  void forward() const {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t group = 0; group < problem.groups; ++group) {
        const T r = prepare(row, group);
        T* y = at(problem.y, row, group);
        for (int64_t i = 0; i < vectors; ++i) {
          const Vector<T> value = moved(scaled(held(u, i) * r, group, i), group, i);
          put(y, i, gated == behind ? value * held(s, i) : value);
        }
      }
  }

  // The slope of silu: sigmoid (1 + gate (1 - sigmoid)).
  static INLINE Vector<T> slope(Vector<T> gate) {
    const Vector<T> opening = sigmoid<T>(gate);
    return opening * (gate * (T(1) - opening) + T(1));
  }

  // To `sums` [weight, bias][channel] what it adds to their gradients.
  void backward(T* sums) const {
    const int64_t channels = problem.groups * size;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t group = 0; group < problem.groups; ++group) {
        const T r = prepare(row, group);
        const T* grad_y = at(problem.grad_y, row, group);
        const T* gate = gated == none ? nullptr : at(problem.gate, row, group);
        T *to_weight = sums + group * size, *to_bias = to_weight + channels;
        Vector<T> along = {}, total = {};
        for (int64_t i = 0; i < vectors; ++i) {
          const Vector<T> normed = held(u, i) * r;
          Vector<T> grad = get(grad_y, i);
          if (gated == behind) {
            const Vector<T> value = moved(scaled(normed, group, i), group, i);
            put(at(problem.grad_gate, row, group), i, grad * value * slope(get(gate, i)));
            grad *= held(s, i);
          }
          if (problem.weight != nullptr) put(to_weight, i, get(to_weight, i) + grad * normed);
          if (problem.bias != nullptr) put(to_bias, i, get(to_bias, i) + grad);
          grad = scaled(grad, group, i);
          along += grad * held(u, i);
          if (centered) total += grad;
          hold(g, i, grad);
        }
        const T back = sum_of_lanes(along) * r * r / T(size), mean = centered ? sum_of_lanes(total) / T(size) : T(0);
        const T* x = at(problem.x, row, group);
        T* grad_x = at(problem.grad_x, row, group);
        for (int64_t i = 0; i < vectors; ++i) {
          Vector<T> grad = (held(g, i) - held(u, i) * back - mean) * r;
          if (gated == before) {
            put(at(problem.grad_gate, row, group), i, grad * get(x, i) * slope(get(gate, i)));
            grad *= held(s, i);
          }
          put(grad_x, i, grad);
        }
      }
  }
};

template <typename T, Gate gated, bool centered, bool whole>
void run(const Problem& problem, bool backward) {
  const int64_t tasks = (problem.rows + ROWS - 1) / ROWS, channels = problem.groups * problem.size, row = 2 * channels;
  const int64_t threads = std::max<int64_t>(1, std::min(problem.threads, problem.rows * channels / ELEMENTS_A_THREAD));
  Buffer<T> sums(backward ? tasks * row : 0);
  in_parallel(tasks, threads, [&](int64_t index) {
    const Stretch<T, gated, centered, whole> stretch(problem, index);
    backward ? stretch.backward(sums + index * row) : stretch.forward();
  });
  if (!backward) return;
  for (int64_t task = 1; task < tasks; ++task)
    for (int64_t i = 0; i < row; ++i) sums[i] += sums[task * row + i];
  if (problem.grad_weight != nullptr) std::memcpy(problem.grad_weight, sums.data(), channels * sizeof(T));
  if (problem.grad_bias != nullptr) std::memcpy(problem.grad_bias, sums + channels, channels * sizeof(T));
}

template <typename T, Gate gated, bool centered>
void solve(const Problem& problem, bool backward) {
  if constexpr (std::is_same_v<T, float>)  // float64 is for checking: not worth the compiler's time
    if (problem.size % WIDTH<T> == 0) return run<T, gated, centered, true>(problem, backward);
  run<T, gated, centered, false>(problem, backward);
}

template <typename T>
void choose(const Problem& problem, bool backward) {
  if (problem.gate_first) return solve<T, before, false>(problem, backward);
  const bool gated = problem.gate.data != nullptr;
  if (problem.centered)
    gated ? solve<T, behind, true>(problem, backward) : solve<T, none, true>(problem, backward);
  else
    gated ? solve<T, behind, false>(problem, backward) : solve<T, none, false>(problem, backward);
}

}  // namespace

extern "C" {
void forward_float32(const Problem* problem) { choose<float>(*problem, false); }
void forward_float64(const Problem* problem) { choose<double>(*problem, false); }
void backward_float32(const Problem* problem) { choose<float>(*problem, true); }
void backward_float64(const Problem* problem) { choose<double>(*problem, true); }
}
