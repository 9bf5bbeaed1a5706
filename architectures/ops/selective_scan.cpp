// Mamba's selective scan (arXiv 2312.00752, Eq. 2 with the discretization of its Algorithm 2) and its gradient on a CPU.
//
//     h_t = exp(step_t A) h_{t-1} + step_t B_t u_t,   y_t = (C_t h_t + D u_t) silu(z_t),
//     step_t = softplus(delta_t + bias), or delta_t + bias
//
// or, signed, 2 exp(step_t A) - 1 in the place of exp(step_t A).
//
// A vector's lanes are neighbouring channels. Time is cut into chunks of CHUNK steps: what a chunk needs is brought to
// [step][lane] in the first cache, then one state after the other runs through its steps in registers. The state before
// each chunk is kept for the gradient, which computes one chunk's states anew, last chunk first.
//
// Work is split into tasks of one sequence and TASK_CHANNELS channels. Sums over tasks are taken in one order
// afterwards, so results do not depend on the number of threads. No vector is wider than the instruction set's.
//
// Long because: one translation unit, whose forward and backward pass share the blocks that they walk through.
//
// Vector operations for each vector of a step's states: 13 forward, 10 of them the exponential, and 21 backward, where
// the forward ones come again (2 more each, signed). tests/benchmarks/scan_floor.py compares speeds with what those take at least.

#include "simd.h"

// What Python hands over; `selective_scan_cpp.py` mirrors both. Strides are in elements; null: not given.
struct Strided {  // [batch, step, lane]; lane: a channel or a state
  void* data;
  int64_t batch, step, lane;
};

struct Problem {
  int64_t batch, length, channels, state, threads, softplus, is_signed;
  Strided u, delta, z, B, C, y;  // lane stride 1 in B, C and y
  void *A, *D, *bias;            // [channels, state], [channels], [channels]
  void* states;                  // [batch, chunks, state, padded channels]; null: not kept
  Strided grad_y, grad_u, grad_delta, grad_z;                    // lane stride 1 but for grad_y
  void *grad_A, *grad_D, *grad_bias;                             // as A, D, bias
  void *grad_B, *grad_C;                                         // [batch, length, state]
};

namespace {

constexpr int64_t CHUNK = 32, TASK_CHANNELS = 64, CHANNEL_PADDING = 32;
constexpr int64_t ELEMENTS_A_THREAD = 1 << 16;  // fewer are not worth starting a thread

// One task: a sequence's channels from `first` on, `channels` of them.
template <typename T>
struct Task {
  const Problem& problem;
  int64_t sequence, first, channels;
  Buffer<T> rates, state;  // A log2(e) and h, or the gradient that later steps hand back, [state][lane]
  Buffer<T> steepest;      // the largest |A log2(e)|, [lane]

  Task(const Problem& problem, int64_t index)
      : problem(problem),
        sequence(index / groups(problem)),
        first(index % groups(problem) * TASK_CHANNELS),
        channels(std::min(TASK_CHANNELS, problem.channels - first)),
        rates(problem.state * TASK_CHANNELS),
        state(problem.state * TASK_CHANNELS),
        steepest(TASK_CHANNELS) {
    const T* A = static_cast<const T*>(problem.A) + first * problem.state;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t n = 0; n < problem.state; ++n) {
        const T rate = A[c * problem.state + n] * Math<T>::LOG2_E;
        rates[n * TASK_CHANNELS + c] = rate;
        steepest[c] = std::max(steepest[c], std::abs(rate));
      }
  }

  static int64_t groups(const Problem& problem) { return (problem.channels + TASK_CHANNELS - 1) / TASK_CHANNELS; }
  static int64_t count(const Problem& problem) { return problem.batch * groups(problem); }

  int64_t kept_row() const { return (problem.channels + CHANNEL_PADDING - 1) / CHANNEL_PADDING * CHANNEL_PADDING; }
  T* kept_states(int64_t chunk, int64_t channel) const {
    const int64_t chunks = (problem.length + CHUNK - 1) / CHUNK;
    return static_cast<T*>(problem.states) + (sequence * chunks + chunk) * problem.state * kept_row() + first + channel;
  }
};

// A block: `wide` neighbouring vectors of channels within one chunk. Two share each broadcast of B and C, fill a cache
// line under AVX2, and fit the registers with all they need; four, or two states at a time, measured no faster.
template <typename T>
struct Block {
  static constexpr int wide = 2, LANES = wide * WIDTH<T>;
  typedef Vector<T> Rows[CHUNK][wide];

  const Task<T>& task;
  int64_t start, steps, channel, lanes;  // channel: within the task; lanes: how many of LANES are real

  T* at(const Strided& from, int64_t step) const {
    return static_cast<T*>(from.data) + task.sequence * from.batch + (start + step) * from.step +
           (task.first + channel) * from.lane;
  }

  // Whole vectors are moved as such: a load that spans several smaller stores would wait for them.
  INLINE void read(const Strided& from, Rows& rows) const {
    const T* origin = at(from, 0);
    if (lanes < LANES) {
      T* to = reinterpret_cast<T*>(rows);
      std::memset(to, 0, sizeof rows);
      for (int64_t t = 0; t < steps; ++t)
        for (int64_t c = 0; c < lanes; ++c) to[t * LANES + c] = origin[t * from.step + c * from.lane];
    } else if (from.lane == 1) {
      for (int64_t t = 0; t < steps; ++t)
        for (int v = 0; v < wide; ++v) rows[t][v] = load<Vector<T>>(origin + t * from.step + v * WIDTH<T>);
    } else {
      // One vector of channels after the other: with a length of many powers of two, more would share too few places
      // in the cache.
      for (int v = 0; v < wide; ++v)
        for (int64_t t = 0; t < steps; ++t) {
          Vector<T> row;
          for (int c = 0; c < WIDTH<T>; ++c) row[c] = origin[t * from.step + (v * WIDTH<T> + c) * from.lane];
          rows[t][v] = row;
        }
    }
  }

  INLINE void write(const Strided& to, const Rows& rows) const {
    for (int64_t t = 0; t < steps; ++t)
      if (lanes < LANES)
        std::memcpy(at(to, t), rows[t], sizeof(T) * lanes);
      else
        for (int v = 0; v < wide; ++v) store(at(to, t) + v * WIDTH<T>, rows[t][v]);
  }

  INLINE void read_channels(const void* from, Vector<T> (&row)[wide]) const {
    T values[LANES] = {};
    if (from != nullptr) std::memcpy(values, static_cast<const T*>(from) + task.first + channel, sizeof(T) * lanes);
    std::memcpy(row, values, sizeof row);
  }

  // delta and its bias summed, and the step that comes of it.
  INLINE void read_steps(Rows& summed, Rows& step) const {
    Vector<T> bias[wide];
    read_channels(task.problem.bias, bias);
    read(task.problem.delta, summed);
    for (int64_t t = 0; t < steps; ++t)
      for (int v = 0; v < wide; ++v) {
        summed[t][v] += bias[v];
        step[t][v] = task.problem.softplus ? softplus<T>(summed[t][v]) : summed[t][v];
      }
  }

  T* row(const Buffer<T>& buffer, int64_t n) const { return buffer + n * TASK_CHANNELS + channel; }

  INLINE void load_row(const T* from, Vector<T> (&to)[wide]) const {
    for (int v = 0; v < wide; ++v) to[v] = load<Vector<T>>(from + v * WIDTH<T>);
  }

  INLINE void store_row(T* to, const Vector<T> (&from)[wide]) const {
    for (int v = 0; v < wide; ++v) store(to + v * WIDTH<T>, from[v]);
  }

  T* kept(int64_t n) const { return task.kept_states(start / CHUNK, channel) + n * task.kept_row(); }

  const T* map(const Strided& from, int64_t n) const {
    return static_cast<const T*>(from.data) + task.sequence * from.batch + start * from.step + n;
  }

  // Whether no state's exponent step * rate comes near what exp2 would clamp.
  INLINE bool is_tame(const Rows& step) const {
    Vector<T> steepest[wide], largest[wide] = {};
    load_row(task.steepest + channel, steepest);
    bool tame = true;
    for (int64_t t = 0; t < steps; ++t)
      for (int v = 0; v < wide; ++v) largest[v] = at_least(largest[v], at_least(-step[t][v], step[t][v]));
    for (int v = 0; v < wide; ++v)
      for (int c = 0; c < WIDTH<T>; ++c) tame &= steepest[v][c] * largest[v][c] < -Math<T>::LOWEST - 1;
    return tame;
  }

  // 2^(step * rate), signed twice that less 1. Without a clamp the product needs no operation of its own.
  template <bool tame, bool is_signed>
  INLINE void decays(const Vector<T> (&step)[wide], const Vector<T> (&rate)[wide], Vector<T> (&decay)[wide]) const {
    if constexpr (tame) {
      Vector<T> shifted[wide];
      for (int v = 0; v < wide; ++v) shifted[v] = step[v] * rate[v] + Math<T>::SHIFTER;
      for (int v = 0; v < wide; ++v) decay[v] = step[v] * rate[v] - (shifted[v] - Math<T>::SHIFTER);
      power_of_two<T>(shifted, decay);
    } else {
      for (int v = 0; v < wide; ++v) decay[v] = step[v] * rate[v];
      exp2<T>(decay);
    }
    if constexpr (is_signed)
      for (int v = 0; v < wide; ++v) decay[v] = decay[v] * T(2) - T(1);
  }

  template <bool tame, bool is_signed>
  INLINE void forward_state(int64_t n, const Rows& step, const Rows& written, Rows& y) const {
    Vector<T> rate[wide], h[wide], decay[wide];
    load_row(row(task.rates, n), rate);
    load_row(row(task.state, n), h);
    if (task.problem.states != nullptr) store_row(kept(n), h);
    const T *B = map(task.problem.B, n), *C = map(task.problem.C, n);
    const int64_t next_B = task.problem.B.step, next_C = task.problem.C.step;
    for (int64_t t = 0; t < steps; ++t, B += next_B, C += next_C) {
      const T b = *B, c = *C;
      decays<tame, is_signed>(step[t], rate, decay);
      for (int v = 0; v < wide; ++v) h[v] = decay[v] * h[v] + written[t][v] * b;
      for (int v = 0; v < wide; ++v) y[t][v] += h[v] * c;
    }
    store_row(row(task.state, n), h);
  }

  void forward() const {
    Rows u, summed, step, written, y;
    Vector<T> D[wide];
    read_channels(task.problem.D, D);
    read(task.problem.u, u);
    read_steps(summed, step);
    for (int64_t t = 0; t < steps; ++t)
      for (int v = 0; v < wide; ++v) {
        written[t][v] = step[t][v] * u[t][v];
        y[t][v] = D[v] * u[t][v];
      }
    const bool tame = is_tame(step), is_signed = task.problem.is_signed;
    for (int64_t n = 0; n < task.problem.state; ++n)
      if (is_signed)
        tame ? forward_state<true, true>(n, step, written, y) : forward_state<false, true>(n, step, written, y);
      else
        tame ? forward_state<true, false>(n, step, written, y) : forward_state<false, false>(n, step, written, y);
    if (task.problem.z.data != nullptr) {
      Rows& z = u;
      read(task.problem.z, z);
      for (int64_t t = 0; t < steps; ++t)
        for (int v = 0; v < wide; ++v) y[t][v] *= z[t][v] * sigmoid<T>(z[t][v]);
    }
    write(task.problem.y, y);
  }

  // What the gradient of one block reads and adds to, step by step.
  struct Reverse {
    Rows u, summed, step, written, y, grad_y, grad_step, grad_written;
  };
  // Sums of a whole task: over its channels (lane by lane) for B and C, over its steps for A, D and the bias.
  struct Sums {
    Vector<T>*B, *C;  // [state][step]
    T *A, *D, *bias;  // [state][lane], [lane], [lane]
  };

  template <bool tame, bool is_signed>
  INLINE void backward_state(int64_t n, Reverse& rows, const Sums& sums) const {
    Vector<T> rate[wide], h[CHUNK + 1][wide], decay[CHUNK][wide];
    load_row(row(task.rates, n), rate);
    load_row(kept(n), h[0]);
    const T *B = map(task.problem.B, n), *C = map(task.problem.C, n);
    const int64_t next_B = task.problem.B.step, next_C = task.problem.C.step;
    for (int64_t t = 0; t < steps; ++t, B += next_B, C += next_C) {
      const T b = *B, c = *C;
      Vector<T> power[wide];
      decays<tame, is_signed>(rows.step[t], rate, power);
      for (int v = 0; v < wide; ++v) {
        decay[t][v] = power[v];
        h[t + 1][v] = power[v] * h[t][v] + rows.written[t][v] * b;
        rows.y[t][v] += h[t + 1][v] * c;
      }
    }

    Vector<T> later[wide], grad_rate[wide];
    load_row(row(task.state, n), later);
    load_row(sums.A + n * TASK_CHANNELS + channel, grad_rate);
    for (int64_t t = steps - 1; t >= 0; --t) {
      B -= next_B, C -= next_C;
      const T b = *B, c = *C;
      Vector<T>& sum_B = sums.B[n * CHUNK + t];
      Vector<T>& sum_C = sums.C[n * CHUNK + t];
      Vector<T> to_B = sum_B, to_C = sum_C;
      for (int v = 0; v < wide; ++v) {
        const Vector<T> grad = rows.grad_y[t][v] * c + later[v];
        to_C += h[t + 1][v] * rows.grad_y[t][v];
        to_B += grad * rows.written[t][v];
        rows.grad_written[t][v] += grad * b;
        later[v] = grad * decay[t][v];
        // Of 2 exp(e) - 1 the slope is 2 exp(e), the decay and 1.
        const Vector<T> grad_exponent = (is_signed ? later[v] + grad : later[v]) * h[t][v];
        rows.grad_step[t][v] += grad_exponent * rate[v];
        grad_rate[v] += grad_exponent * rows.step[t][v];
      }
      sum_B = to_B;
      sum_C = to_C;
    }
    store_row(row(task.state, n), later);
    store_row(sums.A + n * TASK_CHANNELS + channel, grad_rate);
  }

  void backward(const Sums& sums) const {
    const Problem& problem = task.problem;
    Reverse rows;
    Rows z, gate, grad_output;
    Vector<T> D[wide], grad_D[wide], grad_bias[wide];
    read_channels(problem.D, D);
    read(problem.u, rows.u);
    read_steps(rows.summed, rows.step);
    read(problem.grad_y, grad_output);
    if (problem.z.data != nullptr) read(problem.z, z);
    for (int64_t t = 0; t < steps; ++t)
      for (int v = 0; v < wide; ++v) {
        rows.written[t][v] = rows.step[t][v] * rows.u[t][v];
        rows.y[t][v] = D[v] * rows.u[t][v];
        rows.grad_step[t][v] = rows.grad_written[t][v] = all<T>(0);
        rows.grad_y[t][v] = grad_output[t][v];
        if (problem.z.data != nullptr) {
          gate[t][v] = sigmoid<T>(z[t][v]);
          rows.grad_y[t][v] *= z[t][v] * gate[t][v];
        }
      }
    const bool tame = is_tame(rows.step), is_signed = problem.is_signed;
    for (int64_t n = 0; n < problem.state; ++n)
      if (is_signed)
        tame ? backward_state<true, true>(n, rows, sums) : backward_state<false, true>(n, rows, sums);
      else
        tame ? backward_state<true, false>(n, rows, sums) : backward_state<false, false>(n, rows, sums);

    std::memcpy(grad_D, sums.D + channel, sizeof grad_D);
    std::memcpy(grad_bias, sums.bias + channel, sizeof grad_bias);
    Rows& grad_u = rows.written;
    Rows& grad_delta = rows.summed;
    for (int64_t t = steps - 1; t >= 0; --t)
      for (int v = 0; v < wide; ++v) {
        const Vector<T> u = rows.u[t][v], grad_y = rows.grad_y[t][v];
        grad_u[t][v] = rows.grad_written[t][v] * rows.step[t][v] + grad_y * D[v];
        // `rates` are A log2(e), so what they brought in is larger by log2(e).
        Vector<T> grad = rows.grad_step[t][v] / Math<T>::LOG2_E + rows.grad_written[t][v] * u;
        if (problem.softplus) {
          const Vector<T> summed = rows.summed[t][v];
          grad = summed > all<T>(20) ? grad : grad * sigmoid<T>(summed);
        }
        grad_delta[t][v] = grad;
        grad_D[v] += grad_y * u;
        grad_bias[v] += grad;
        if (problem.z.data != nullptr) {
          const Vector<T> slope = gate[t][v] * (z[t][v] * (T(1) - gate[t][v]) + T(1));
          z[t][v] = grad_output[t][v] * rows.y[t][v] * slope;
        }
      }
    std::memcpy(sums.D + channel, grad_D, sizeof grad_D);
    std::memcpy(sums.bias + channel, grad_bias, sizeof grad_bias);
    write(problem.grad_u, grad_u);
    write(problem.grad_delta, grad_delta);
    if (problem.z.data != nullptr) write(problem.grad_z, z);
  }
};

template <typename T, typename Function>
INLINE void for_blocks(const Task<T>& task, int64_t start, const Function& run) {
  const int64_t steps = std::min(CHUNK, task.problem.length - start);
  for (int64_t channel = 0; channel < task.channels; channel += Block<T>::LANES)
    run(Block<T>{task, start, steps, channel, std::min<int64_t>(task.channels - channel, Block<T>::LANES)});
}

int64_t threads_for(const Problem& problem) {
  const int64_t elements = problem.batch * problem.length * problem.channels * problem.state;
  return std::max<int64_t>(1, std::min(problem.threads, elements / ELEMENTS_A_THREAD));
}

template <typename T>
void forward(const Problem& problem) {
  in_parallel(Task<T>::count(problem), threads_for(problem), [&](int64_t index) {
    const Task<T> task(problem, index);
    for (int64_t start = 0; start < problem.length; start += CHUNK)
      for_blocks(task, start, [](const auto& block) { block.forward(); });
  });
}

// Adds what `parts` tasks left, first to last: to[i] = sum over p of from[p][i].
template <typename T>
void sum_parts(T* to, const T* from, int64_t parts, int64_t part_stride, int64_t size) {
  std::memcpy(to, from, size * sizeof(T));
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t i = 0; i < size; ++i) to[i] += from[p * part_stride + i];
}

template <typename T>
void backward(const Problem& problem) {
  const int64_t groups = Task<T>::groups(problem), N = problem.state, steps = problem.length;
  const int64_t threads = threads_for(problem), map = steps * N, lanes = groups * TASK_CHANNELS;
  Buffer<T> channel_sums(problem.batch * (N + 2) * lanes);  // [batch][A's states, D, bias][lane]
  Buffer<T> maps(groups > 1 ? 2 * problem.batch * groups * map : 0);  // [batch][B, C][group][length][state]

  in_parallel(Task<T>::count(problem), threads, [&](int64_t index) {
    const Task<T> task(problem, index);
    const int64_t group = task.first / TASK_CHANNELS;
    Buffer<T> of_channels((N + 2) * TASK_CHANNELS), of_maps(2 * CHUNK * N * WIDTH<T>);
    Vector<T>* sum_B = reinterpret_cast<Vector<T>*>(of_maps + 0);
    Vector<T>* sum_C = sum_B + CHUNK * N;
    T* to_B = static_cast<T*>(problem.grad_B) + task.sequence * map;
    T* to_C = static_cast<T*>(problem.grad_C) + task.sequence * map;
    if (groups > 1) {
      to_B = maps + (task.sequence * 2 * groups + group) * map;
      to_C = to_B + groups * map;
    }
    T* sum_A = of_channels + 0;
    for (int64_t start = ((steps + CHUNK - 1) / CHUNK - 1) * CHUNK; start >= 0; start -= CHUNK) {
      for_blocks(task, start, [&](const auto& block) {
        block.backward({sum_B, sum_C, sum_A, sum_A + N * TASK_CHANNELS, sum_A + (N + 1) * TASK_CHANNELS});
      });
      for (int64_t t = 0; t < std::min(CHUNK, steps - start); ++t)
        for (int64_t n = 0; n < N; ++n) {
          Vector<T>&of_B = sum_B[n * CHUNK + t], &of_C = sum_C[n * CHUNK + t];
          to_B[(start + t) * N + n] = sum_of_lanes(of_B);
          to_C[(start + t) * N + n] = sum_of_lanes(of_C);
          of_B = of_C = all<T>(0);
        }
    }
    for (int64_t n = 0; n < N + 2; ++n)
      std::memcpy(channel_sums + (task.sequence * (N + 2) + n) * lanes + task.first,
                  sum_A + n * TASK_CHANNELS, TASK_CHANNELS * sizeof(T));
  });

  if (groups > 1)
    in_parallel(problem.batch, threads, [&](int64_t b) {
      const T* from = maps + b * 2 * groups * map;
      sum_parts(static_cast<T*>(problem.grad_B) + b * map, from, groups, map, map);
      sum_parts(static_cast<T*>(problem.grad_C) + b * map, from + groups * map, groups, map, map);
    });

  Buffer<T> total((N + 2) * lanes);
  for (int64_t b = 0; b < problem.batch; ++b)
    for (int64_t i = 0; i < (N + 2) * lanes; ++i) total[i] += channel_sums[b * (N + 2) * lanes + i];
  for (int64_t c = 0; c < problem.channels; ++c) {
    for (int64_t n = 0; n < N; ++n) static_cast<T*>(problem.grad_A)[c * N + n] = total[n * lanes + c];
    if (problem.grad_D != nullptr) static_cast<T*>(problem.grad_D)[c] = total[N * lanes + c];
    if (problem.grad_bias != nullptr) static_cast<T*>(problem.grad_bias)[c] = total[(N + 1) * lanes + c];
  }
}

}  // namespace

extern "C" {
void forward_float32(const Problem* problem) { forward<float>(*problem); }
void forward_float64(const Problem* problem) { forward<double>(*problem); }
void backward_float32(const Problem* problem) { backward<float>(*problem); }
void backward_float64(const Problem* problem) { backward<double>(*problem); }
}
