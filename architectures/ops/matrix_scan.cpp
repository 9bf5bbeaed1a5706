// The recurrence of matrix states that gated linear attention, gated DeltaNet and RWKV-7 share, and its gradient, on a
// CPU:
//
//     S_t = diag(w_t) S_{t-1} + a_t (r_t^T S_{t-1}) + k_t v_t^T,   o_t = S_t^T q_t
//
// S is [keys, values]; w_t = exp(log_decay_t) is one number a head or one a key; a and r may be missing, where it is one a
// key. What one number a head decays and nothing else changes is faster by scalar_scan.cpp.
//
// A vector's lanes are neighbouring columns of S. Time is cut into chunks of CHUNK steps; columns into blocks of `wide`
// vectors. Without a and r a few rows of S run through a chunk's steps in registers; with them every step
// needs r_t^T S_{t-1} of all rows first, which is summed up while the step before writes them. The state before each chunk
// is kept for the gradient, which computes one chunk's states anew, last chunk first. Sums over columns (the gradients of
// q, k, a, r and of decays) are kept lane by lane and added up once a chunk.
//
// Tasks share nothing, so results do not depend on the number of threads.
//
// Long because: one translation unit, whose forward and backward pass share the chunks that they walk through.

#include "simd.h"

struct Strided {  // [batch, head, step, entry], entries side by side; strides in elements
  void* data;
  int64_t batch, head, step;
};

struct Problem {
  int64_t batch, heads, length, keys, values, key_decay, threads;  // key_decay: log_decay has an entry a key
  Strided q, k, v, log_decay, removed, added, o;                // removed, added: null where there are none
  void* states;                                                 // [batch, heads, chunks, blocks, keys, LANES]; null: not kept
  Strided grad_o, grad_q, grad_k, grad_v, grad_log_decay, grad_removed, grad_added;
};

namespace {

constexpr int64_t CHUNK = 16;
constexpr int wide = 2;
constexpr int64_t MULTIPLICATIONS_A_THREAD = 1 << 18;  // fewer are not worth starting a thread

template <typename T>
constexpr int LANES = wide * WIDTH<T>;

int64_t rounded_up(int64_t size, int64_t to) { return (size + to - 1) / to * to; }

// One sequence of one head. Rows of a chunk are copied to [step][entry], filled up with zeros.
template <typename T, bool delta, bool key_decay>
struct Task {
  static_assert(delta || key_decay);
  typedef Vector<T> Block[wide];
  const Problem& problem;
  const int64_t sequence, head, keys, padded, blocks;
  Buffer<T> q, k, removed, added, decay, v, o, grad_o, grad_v;  // of a chunk
  Buffer<T> state;                                              // S, or what later steps hand back: [block][key][lane]

  Task(const Problem& problem, int64_t index, bool backward)
      : problem(problem), sequence(index / problem.heads), head(index % problem.heads), keys(problem.keys),
        padded(rounded_up(problem.keys, WIDTH<T>)), blocks(rounded_up(problem.values, LANES<T>) / LANES<T>), q(CHUNK * padded), k(CHUNK * padded), removed(delta ? (CHUNK + 1) * padded : 0),
        added(delta ? CHUNK * padded : 0), decay(CHUNK * (key_decay ? padded : 1)),
        v(CHUNK * LANES<T> * blocks), o(CHUNK * LANES<T> * blocks), grad_o(backward ? CHUNK * LANES<T> * blocks : 0),
        grad_v(backward ? CHUNK * LANES<T> * blocks : 0), state(blocks * padded * LANES<T>) {}

  static int64_t count(const Problem& problem) { return problem.batch * problem.heads; }
  int64_t chunks() const { return (problem.length + CHUNK - 1) / CHUNK; }

  T* at(const Strided& of, int64_t step) const {
    return static_cast<T*>(of.data) + sequence * of.batch + head * of.head + step * of.step;
  }

  // `size` entries a step to rows of `row` entries, and back.
  void read(const Strided& from, int64_t start, int64_t steps, int64_t size, T* to, int64_t row) const {
    for (int64_t t = 0; t < steps; ++t) std::memcpy(to + t * row, at(from, start + t), size * sizeof(T));
  }
  void write(const Strided& to, int64_t start, int64_t steps, int64_t size, const T* from, int64_t row) const {
    for (int64_t t = 0; t < steps; ++t) std::memcpy(at(to, start + t), from + t * row, size * sizeof(T));
  }
  void read_chunk(int64_t start, int64_t steps) const {
    read(problem.q, start, steps, keys, q.data(), padded);
    read(problem.k, start, steps, keys, k.data(), padded);
    if (delta) {
      read(problem.removed, start, steps, keys, removed.data(), padded);
      read(problem.added, start, steps, keys, added.data(), padded);
    }
    read(problem.v, start, steps, problem.values, v.data(), blocks * LANES<T>);
    const int64_t row = key_decay ? padded : 1;
    read(problem.log_decay, start, steps, key_decay ? keys : 1, decay.data(), row);
    // exp() never overflows, so what stands behind the last key stays finite, and its rows zeros.
    for (int64_t i = 0; i < CHUNK * row; i += WIDTH<T>) store(decay + i, exp<T>(load<Vector<T>>(decay + i)));
  }

  T decay_at(int64_t t, int64_t key) const { return decay[key_decay ? t * padded + key : t]; }
  T* columns(const Buffer<T>& of, int64_t block, int64_t t) const { return of + (t * blocks + block) * LANES<T>; }
  T* rows(int64_t block) const { return state + block * padded * LANES<T>; }
  T* kept(int64_t start, int64_t block) const {
    const int64_t place = ((sequence * problem.heads + head) * chunks() + start / CHUNK) * blocks + block;
    return static_cast<T*>(problem.states) + place * keys * LANES<T>;
  }

  static INLINE void get(const T* from, Block& to) {
    for (int i = 0; i < wide; ++i) to[i] = load<Vector<T>>(from + i * WIDTH<T>);
  }
  static INLINE void put(T* to, const Block& from) {
    for (int i = 0; i < wide; ++i) store(to + i * WIDTH<T>, from[i]);
  }

  // A chunk's steps of one block. S [key][lane] is changed in place; `history` [step + 1][key][lane], `held` [step][lane]
  // and `out` are filled where given.
  template <bool out, bool keep>
  INLINE void run(int64_t block, int64_t steps, T* S, T* history, T* held) const {
    if constexpr (delta)
      run_delta<out, keep>(block, steps, S, history, held);
    else
      run_plain<out, keep>(block, steps, S, history);
  }

  template <bool out, bool keep>
  INLINE void run_plain(int64_t block, int64_t steps, T* S, T* history) const {
    constexpr int R = 4;
    const int64_t size = padded * LANES<T>;
    for (int64_t first = 0; first < keys; first += R) {  // rows beyond the last are zeros and stay so
      Block rows[R];
      for (int r = 0; r < R; ++r) get(S + (first + r) * LANES<T>, rows[r]);
      for (int64_t t = 0; t < steps; ++t) {
        Block x, y;
        get(columns(v, block, t), x);
        if (out) get(columns(o, block, t), y);
        const T *keys_t = k + t * padded + first, *queries_t = q + t * padded + first;
        for (int r = 0; r < R; ++r) {
          const T keep_t = decay_at(t, first + r), key = keys_t[r], query = queries_t[r];
          if (keep) put(history + t * size + (first + r) * LANES<T>, rows[r]);
          for (int i = 0; i < wide; ++i) {
            rows[r][i] = rows[r][i] * keep_t + x[i] * key;
            if (out) y[i] += rows[r][i] * query;
          }
        }
        if (out) put(columns(o, block, t), y);
      }
      for (int r = 0; r < R; ++r) {
        if (keep) put(history + steps * size + (first + r) * LANES<T>, rows[r]);
        put(S + (first + r) * LANES<T>, rows[r]);
      }
    }
  }

  template <bool out, bool keep>
  INLINE void run_delta(int64_t block, int64_t steps, T* S, T* history, T* held) const {
    const int64_t size = padded * LANES<T>;
    Block next[2] = {};
    for (int64_t key = 0; key < keys; ++key) {
      const T remove = removed[key];
      for (int i = 0; i < wide; ++i) next[key & 1][i] += load<Vector<T>>(S + key * LANES<T> + i * WIDTH<T>) * remove;
    }
    const T* from = S;
    for (int64_t t = 0; t < steps; ++t) {
      Block x, h, y[2] = {};
      get(columns(v, block, t), x);
      for (int i = 0; i < wide; ++i) h[i] = next[0][i] + next[1][i], next[0][i] = next[1][i] = Vector<T>{};
      if (keep) {
        if (t == 0) std::memcpy(history, S, keys * LANES<T> * sizeof(T));
        put(held + t * LANES<T>, h);
      }
      T* to = keep ? history + (t + 1) * size : S;
      const T *keys_t = k + t * padded, *queries_t = q + t * padded, *added_t = added + t * padded;
      const T* removed_t = removed + (t + 1) * padded;  // of the next step; what stands behind the last is not used
      for (int64_t pair = 0; pair < padded; pair += 2)
#pragma GCC unroll 2
        for (int odd = 0; odd < 2; ++odd) {
          const int64_t key = pair + odd;
          const T keep_t = decay_at(t, key), write = keys_t[key], add = added_t[key], remove = removed_t[key];
          Block row;
          get(from + key * LANES<T>, row);
          for (int i = 0; i < wide; ++i) {
            row[i] = row[i] * keep_t + (h[i] * add + x[i] * write);
            if (out) y[odd][i] += row[i] * queries_t[key];
            next[odd][i] += row[i] * remove;
          }
          put(to + key * LANES<T>, row);
        }
      from = to;
      if (out)
        for (int i = 0; i < wide; ++i) store(columns(o, block, t) + i * WIDTH<T>, y[0][i] + y[1][i]);
    }
    if (keep) std::memcpy(S, from, keys * LANES<T> * sizeof(T));
  }

  void forward() const {
    for (int64_t start = 0; start < problem.length; start += CHUNK) {
      const int64_t steps = std::min(CHUNK, problem.length - start);
      read_chunk(start, steps);
      if (!delta) std::memset(o.data(), 0, CHUNK * LANES<T> * blocks * sizeof(T));
      for (int64_t block = 0; block < blocks; ++block) {
        if (problem.states != nullptr) std::memcpy(kept(start, block), rows(block), keys * LANES<T> * sizeof(T));
        run<true, false>(block, steps, rows(block), nullptr, nullptr);
      }
      write(problem.o, start, steps, problem.values, o.data(), blocks * LANES<T>);
    }
  }

  // Lane by lane sums over columns, [step][key], of a chunk.
  struct Sums {
    Buffer<T> q, k, decay, removed, added;
    explicit Sums(int64_t padded)
        : q(CHUNK * padded * WIDTH<T>), k(CHUNK * padded * WIDTH<T>),
          decay(CHUNK * (key_decay ? padded : 1) * WIDTH<T>), removed(delta ? CHUNK * padded * WIDTH<T> : 0),
          added(delta ? CHUNK * padded * WIDTH<T> : 0) {}
  };
  static INLINE Vector<T>& of(const Buffer<T>& sums, int64_t place) {
    return reinterpret_cast<Vector<T>*>(sums.data())[place];
  }

  void backward() const {
    const int64_t size = padded * LANES<T>, decay_row = key_decay ? padded : 1;
    Buffer<T> history((CHUNK + 1) * size), held(CHUNK * LANES<T>), S(size), row(CHUNK * padded);
    const Sums sums(padded);
    for (int64_t start = (chunks() - 1) * CHUNK; start >= 0; start -= CHUNK) {
      const int64_t steps = std::min(CHUNK, problem.length - start);
      read_chunk(start, steps);
      read(problem.grad_o, start, steps, problem.values, grad_o.data(), blocks * LANES<T>);
      std::memset(grad_v.data(), 0, CHUNK * LANES<T> * blocks * sizeof(T));
      for (const auto* each : {&sums.q, &sums.k, &sums.decay, &sums.removed, &sums.added})
        std::memset(each->data(), 0, each->size() * sizeof(T));
      for (int64_t block = 0; block < blocks; ++block) {
        std::memcpy(S.data(), kept(start, block), keys * LANES<T> * sizeof(T));
        run<false, true>(block, steps, S.data(), history.data(), held.data());
        if constexpr (delta)
          back_delta(block, steps, history.data(), held.data(), sums);
        else
          back_plain(block, steps, history.data(), sums);
      }
      write(problem.grad_v, start, steps, problem.values, grad_v.data(), blocks * LANES<T>);
      write_sums(problem.grad_q, start, steps, sums.q, padded, keys, row.data());
      write_sums(problem.grad_k, start, steps, sums.k, padded, keys, row.data());
      write_sums(problem.grad_removed, start, steps, sums.removed, padded, keys, row.data());
      write_sums(problem.grad_added, start, steps, sums.added, padded, keys, row.data());
      for (int64_t i = 0; i < steps * decay_row; ++i) of(sums.decay, i) *= decay[i];
      write_sums(problem.grad_log_decay, start, steps, sums.decay, decay_row, key_decay ? keys : 1, row.data());
    }
  }

  void write_sums(const Strided& to, int64_t start, int64_t steps, const Buffer<T>& sums, int64_t width, int64_t size,
                  T* row) const {
    if (to.data == nullptr) return;
    for (int64_t t = 0; t < steps; ++t) {
      const Vector<T>* from = &of(sums, t * width);
      if (width % WIDTH<T> == 0)
        for (int64_t i = 0; i < width; i += WIDTH<T>) store(row + i, sums_of_lanes<T>(from + i));
      else
        for (int64_t i = 0; i < width; ++i) row[i] = sum_of_lanes(from[i]);
      std::memcpy(at(to, start + t), row, size * sizeof(T));
    }
  }

  static INLINE Vector<T> folded(const Block& a, const Block& b) {
    Vector<T> sum = a[0] * b[0];
    for (int i = 1; i < wide; ++i) sum += a[i] * b[i];
    return sum;
  }

  INLINE void back_plain(int64_t block, int64_t steps, const T* history, const Sums& sums) const {
    constexpr int R = 2;
    const int64_t size = padded * LANES<T>;
    for (int64_t first = 0; first < padded; first += R) {
      Block D[R];  // dL/dS, row by row
      for (int r = 0; r < R; ++r) get(rows(block) + (first + r) * LANES<T>, D[r]);
      for (int64_t t = steps - 1; t >= 0; --t) {
        Block x, g, gx;
        get(columns(v, block, t), x);
        get(columns(grad_o, block, t), g);
        get(columns(grad_v, block, t), gx);
        for (int r = 0; r < R; ++r) {
          const int64_t key = first + r, place = t * padded + key;
          const T query = q[place], write = k[place], keep_t = decay_at(t, key);
          Block before, after;
          get(history + t * size + key * LANES<T>, before);
          get(history + (t + 1) * size + key * LANES<T>, after);
          for (int i = 0; i < wide; ++i) {
            D[r][i] += g[i] * query;
            gx[i] += D[r][i] * write;
          }
          of(sums.q, place) += folded(after, g);
          of(sums.k, place) += folded(D[r], x);
          of(sums.decay, place) += folded(D[r], before);
          for (int i = 0; i < wide; ++i) D[r][i] *= keep_t;
        }
        put(columns(grad_v, block, t), gx);
      }
      for (int r = 0; r < R; ++r) put(rows(block) + (first + r) * LANES<T>, D[r]);
    }
  }

  INLINE void back_delta(int64_t block, int64_t steps, const T* history, const T* held, const Sums& sums) const {
    const int64_t size = padded * LANES<T>;
    T* D = rows(block);
    for (int64_t t = steps - 1; t >= 0; --t) {
      Block x, g, h, gx[2] = {}, gh[2] = {};
      get(columns(v, block, t), x);
      get(columns(grad_o, block, t), g);
      get(held + t * LANES<T>, h);
      for (int64_t pair = 0; pair < padded; pair += 2)
#pragma GCC unroll 2
        for (int odd = 0; odd < 2; ++odd) {
          const int64_t key = pair + odd, place = t * padded + key;
          const T query = q[place], write = k[place], add = added[place];
          Block row, after;
          get(D + key * LANES<T>, row);
          get(history + (t + 1) * size + key * LANES<T>, after);
          for (int i = 0; i < wide; ++i) {
            row[i] += g[i] * query;
            gx[odd][i] += row[i] * write;
            gh[odd][i] += row[i] * add;
          }
          of(sums.q, place) += folded(after, g);
          of(sums.k, place) += folded(row, x);
          of(sums.added, place) += folded(row, h);
          put(D + key * LANES<T>, row);
        }
      Block to_held, to_x;
      for (int i = 0; i < wide; ++i) to_held[i] = gh[0][i] + gh[1][i], to_x[i] = gx[0][i] + gx[1][i];
      put(columns(grad_v, block, t), to_x);
      Vector<T> decay_sum = {};
      for (int64_t key = 0; key < padded; ++key) {
        const int64_t place = t * padded + key;
        const T remove = removed[place], keep_t = decay_at(t, key);
        Block row, before;
        get(D + key * LANES<T>, row);
        get(history + t * size + key * LANES<T>, before);
        of(sums.removed, place) += folded(before, to_held);
        if (key_decay)
          of(sums.decay, place) += folded(row, before);
        else
          decay_sum += folded(row, before);
        for (int i = 0; i < wide; ++i) row[i] = row[i] * keep_t + to_held[i] * remove;
        put(D + key * LANES<T>, row);
      }
      if (!key_decay) of(sums.decay, t) += decay_sum;
    }
  }
};

int64_t threads_for(const Problem& problem) {
  const int64_t work = problem.batch * problem.heads * problem.length * problem.keys * problem.values;
  return std::max<int64_t>(1, std::min(problem.threads, work / MULTIPLICATIONS_A_THREAD));
}

template <typename T, bool delta, bool key_decay>
void solve(const Problem& problem, bool backward) {
  typedef Task<T, delta, key_decay> Here;
  in_parallel(Here::count(problem), threads_for(problem), [&](int64_t index) {
    const Here task(problem, index, backward);
    backward ? task.backward() : task.forward();
  });
}

template <typename T>
void choose(const Problem& problem, bool backward) {
  const bool delta = problem.removed.data != nullptr;
  if (delta && problem.key_decay) return solve<T, true, true>(problem, backward);
  if (delta) return solve<T, true, false>(problem, backward);
  solve<T, false, true>(problem, backward);
}

}  // namespace

extern "C" {
int64_t lanes_float32() { return LANES<float>; }
int64_t lanes_float64() { return LANES<double>; }
void forward_float32(const Problem* problem) { choose<float>(*problem, false); }
void forward_float64(const Problem* problem) { choose<double>(*problem, false); }
void backward_float32(const Problem* problem) { choose<float>(*problem, true); }
void backward_float64(const Problem* problem) { choose<double>(*problem, true); }
}
