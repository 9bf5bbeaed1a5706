// A recurrence of matrix states that one number a head and step lets decay (Mamba-2, Mamba-3, RetNet), and its gradient:
//
//     S_t = a_t S_{t-1} + u_t k_t v_t^T,   o_t = S_t^T q_t + (d_t - u_t) (q_t^T k_t) v_t,   a_t = exp(log_decay_t),
//
// or, signed, a_t = 2 exp(log_decay_t) - 1. S is [keys, values]. A step writes its input with weight u and reads it with weight d, both of them 1 where there are
// none. Heads of a group share q and k. With angles there is one group, and each head makes its own: it adds its bias,
// and turns each pair of neighbouring keys, the first `angles` pairs, by an angle of its own.
//
// Time is cut into chunks of SIDE steps (state space duality, arXiv 2405.21060, section 6): scores of a chunk's steps
// among each other, and a state handed from chunk to chunk, which is kept for the gradient. All of it is products of
// tiles, whose lanes are SIDE steps or SIDE columns. A decay over several steps is a product of the steps' decays, never
// a quotient or the exponential of a difference: all of them are exact to the last digits however small they get.
//
// Tasks share nothing, so results do not depend on the number of threads.
//
// Long because: one translation unit, whose forward and backward pass share the chunks that they walk through.

#include "simd.h"

struct Strided {  // [batch, head or group, step, entry], entries side by side; strides in elements
  void* data;
  int64_t batch, head, step;
};

struct Problem {
  int64_t batch, groups, heads, length, keys, values, angles, is_signed, threads;  // heads: of a group
  Strided q, k, v, log_decay, weight, own, cosine, sine, o;             // weight u, own d: null where they are 1
  void *q_bias, *k_bias;                                                // [heads, keys]
  void* states;  // [batch, groups, chunks, heads, blocks, keys, SIDE]; null: not kept
  Strided grad_o, grad_q, grad_k, grad_v, grad_log_decay, grad_weight, grad_own, grad_angle;
  void *grad_q_bias, *grad_k_bias;  // [batch, heads, keys]
};

namespace {

constexpr int SIDE = 16;
constexpr int64_t MULTIPLICATIONS_A_THREAD = 1 << 18;  // fewer are not worth starting a thread

// A signed decay is kept so far from zero, and not nearer: its gradient is that of its logarithm divided by it.
template <typename T>
constexpr T TINY = std::is_same<T, float>::value ? T(1e-18) : T(1e-150);

template <typename T>
constexpr int PARTS = SIDE / WIDTH<T>;  // vectors that SIDE numbers take

int64_t rounded_up(int64_t size, int64_t to = SIDE) { return (size + to - 1) / to * to; }

template <typename T>
struct Row {  // SIDE numbers
  Vector<T> part[PARTS<T>];

  static INLINE Row of(const T* from) {
    Row row;
    for (int p = 0; p < PARTS<T>; ++p) row.part[p] = load<Vector<T>>(from + p * WIDTH<T>);
    return row;
  }
  INLINE void to(T* place) const {
    for (int p = 0; p < PARTS<T>; ++p) store(place + p * WIDTH<T>, part[p]);
  }
  INLINE Row& operator+=(const Row& other) {
    for (int p = 0; p < PARTS<T>; ++p) part[p] += other.part[p];
    return *this;
  }
  INLINE Row operator+(const Row& other) const { return Row(*this) += other; }
  INLINE Row operator-(const Row& other) const {
    Row row;
    for (int p = 0; p < PARTS<T>; ++p) row.part[p] = part[p] - other.part[p];
    return row;
  }
  INLINE Row operator*(const Row& other) const {
    Row row;
    for (int p = 0; p < PARTS<T>; ++p) row.part[p] = part[p] * other.part[p];
    return row;
  }
  INLINE Row operator*(T factor) const {
    Row row;
    for (int p = 0; p < PARTS<T>; ++p) row.part[p] = part[p] * factor;
    return row;
  }
  INLINE Row operator+(T number) const {
    Row row;
    for (int p = 0; p < PARTS<T>; ++p) row.part[p] = part[p] + number;
    return row;
  }
  // The first `count` numbers, zeros behind them, whatever stood there.
  INLINE Row first(int count) const {
    Row row;
    for (int p = 0; p < PARTS<T>; ++p) {
      Vector<T> place;
      for (int i = 0; i < WIDTH<T>; ++i) place[i] = T(p * WIDTH<T> + i);
      row.part[p] = place < all<T>(T(count)) ? part[p] : Vector<T>{};
    }
    return row;
  }
  INLINE T sum() const {
    Vector<T> total = part[0];
    for (int p = 1; p < PARTS<T>; ++p) total += part[p];
    return sum_of_lanes(total);
  }
};

enum class Onto { nothing, sum, scaled };

// c = a b, c + a b, or each row of c times its scale + a b: c [rows, SIDE], a [rows, depth] of `stride` a row, b [depth,
// SIDE]; `rows` is a multiple of SIDE.
template <Onto onto, typename T>
void multiply(int64_t rows, int64_t depth, const T* a, int64_t stride, const T* b, T* c, const T* scale = nullptr) {
  constexpr int R = PARTS<T> < 8 ? 8 / PARTS<T> : 1;  // sums in registers: enough to hide how long an addition takes
  for (int64_t first = 0; first < rows; first += R, a += R * stride, c += R * SIDE) {
    Row<T> sum[R];
    for (int r = 0; r < R; ++r) {
      sum[r] = onto == Onto::nothing ? Row<T>{} : Row<T>::of(c + r * SIDE);
      if (onto == Onto::scaled) sum[r] = sum[r] * scale[first + r];
    }
    for (int64_t i = 0; i < depth; ++i) {
      const Row<T> factor = Row<T>::of(b + i * SIDE);
      for (int r = 0; r < R; ++r) sum[r] += factor * a[r * stride + i];
    }
    for (int r = 0; r < R; ++r) sum[r].to(c + r * SIDE);
  }
}

// A tile of SIDE rows and columns; strides of a row.
template <typename T>
void transpose(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  constexpr int W = WIDTH<T>;
  for (int i = 0; i < SIDE; i += W)
    for (int j = 0; j < SIDE; j += W) {
      Vector<T> rows[W];
#pragma GCC unroll 16
      for (int r = 0; r < W; ++r) rows[r] = load<Vector<T>>(from + (i + r) * from_stride + j);
      transpose_vectors<T>(rows);
#pragma GCC unroll 16
      for (int r = 0; r < W; ++r) store(to + (j + r) * to_stride + i, rows[r]);
    }
}

template <typename T>
INLINE Row<T> column_sums(int64_t rows, const T* a, const T* b) {  // of the products of two [rows, SIDE]
  Row<T> sum = {}, other = {};
  for (int64_t i = 0; i < rows; i += 2) {
    sum += Row<T>::of(a + i * SIDE) * Row<T>::of(b + i * SIDE);
    other += Row<T>::of(a + (i + 1) * SIDE) * Row<T>::of(b + (i + 1) * SIDE);
  }
  return sum + other;
}

// What a chunk's steps of one head weigh.
template <typename T>
struct Weights {
  T between[SIDE * SIDE];  // [i, j], j <= i: what step i keeps of what step j wrote
  T tile[SIDE * SIDE];     // the same with the weights of writing and reading; zeros behind the diagonal
  T before[SIDE];          // what step i keeps of the state before the chunk
  T whole[SIDE];           // what the chunk's last step keeps of it, again and again
  T slope[SIDE];           // of log a_t by log_decay_t
  Row<T> after, weight, own;  // what the last step keeps of step j's; u; d

  void set(const T* log_decay, bool is_signed, const Row<T>& weight, const Row<T>& own) {
    T decay[SIDE];
    for (int i = 0; i < SIDE; i += WIDTH<T>) store(decay + i, exp<T>(load<Vector<T>>(log_decay + i)));
    std::fill(slope, slope + SIDE, T(1));
    if (is_signed)
      for (int i = 0; i < SIDE; ++i) {
        const T kept = 2 * decay[i] - 1, size = std::abs(kept);
        slope[i] = 2 * decay[i];
        decay[i] = std::copysign(size < TINY<T> ? TINY<T> : size, kept);
        slope[i] /= decay[i];
      }
    this->weight = weight, this->own = own;
    T each[SIDE];
    own.to(each);
    Row<T> row = {};
    for (int i = 0; i < SIDE; ++i) {
      row = (row * decay[i]).first(i);
      row.to(between + i * SIDE);
      (row * weight).first(i).to(tile + i * SIDE);
      between[i * SIDE + i] = 1;
      tile[i * SIDE + i] = each[i];
      row = Row<T>::of(between + i * SIDE);
      before[i] = i ? before[i - 1] * decay[i] : decay[0];
    }
    after = row;
    for (int i = 0; i < SIDE; ++i) whole[i] = before[SIDE - 1];
  }
  INLINE void weigh(const T* scores, T* to) const {  // scores of the future may be anything
    for (int i = 0; i < SIDE; ++i)
      (Row<T>::of(scores + i * SIDE) * Row<T>::of(tile + i * SIDE)).first(i + 1).to(to + i * SIDE);
  }
};

// One sequence of one group. Rows are filled up with zeros to a multiple of SIDE, chunks with steps that do nothing.
template <typename T, bool turned>
struct Task {
  const Problem& problem;
  const int64_t sequence, group, keys, padded, blocks;
  Buffer<T> q, k, q_steps, k_steps;  // [step][key], [key][step]; a head's where heads turn
  Buffer<T> q_given, k_given;        // [key][step] before they turn
  Buffer<T> cosine, sine;            // [angle][step]
  Buffer<T> scores, weighed;         // [i, j]: q_i k_j
  Buffer<T> v, o;                    // [block][step][column]
  Buffer<T> scaled;                  // a block of these
  Buffer<T> rows;                    // [step][entry], on the way between memory and tiles
  Buffer<T> state;                   // S, or what later steps hand back: [head][block][key][column]
  mutable Weights<T> weights;

  Task(const Problem& problem, int64_t index)
      : problem(problem), sequence(index / problem.groups), group(index % problem.groups), keys(problem.keys),
        padded(rounded_up(problem.keys)), blocks(rounded_up(problem.values) / SIDE), q(SIDE * padded), k(SIDE * padded),
        q_steps(SIDE * padded), k_steps(SIDE * padded), q_given(turned ? SIDE * padded : 0),
        k_given(turned ? SIDE * padded : 0), cosine(turned ? SIDE * padded : 0), sine(turned ? SIDE * padded : 0),
        scores(SIDE * SIDE), weighed(SIDE * SIDE), v(SIDE * SIDE * blocks), o(SIDE * SIDE * blocks), scaled(SIDE * SIDE),
        rows(SIDE * padded), state(problem.heads * blocks * padded * SIDE) {}

  static int64_t count(const Problem& problem) { return problem.batch * problem.groups; }
  int64_t chunks() const { return (problem.length + SIDE - 1) / SIDE; }
  int64_t head_of(int64_t head) const { return group * problem.heads + head; }

  T* at(const Strided& of, int64_t head, int64_t step) const {
    return static_cast<T*>(of.data) + sequence * of.batch + head * of.head + step * of.step;
  }
  void read(const Strided& from, int64_t head, int64_t start, int64_t steps, int64_t size, T* to, int64_t stride) const {
    for (int64_t t = 0; t < steps; ++t) std::memcpy(to + t * stride, at(from, head, start + t), size * sizeof(T));
    for (int64_t t = steps; t < SIDE; ++t) std::memset(to + t * stride, 0, size * sizeof(T));
  }
  // [key][step] of one tensor's chunk.
  void read_steps(const Strided& from, int64_t head, int64_t start, int64_t steps, int64_t size, T* to) const {
    read(from, head, start, steps, size, rows.data(), padded);
    for (int64_t i = 0; i < rounded_up(size); i += SIDE) transpose(rows + i, padded, to + i * SIDE, SIDE);
  }
  void read_columns(const Strided& from, int64_t head, int64_t start, int64_t steps, const Buffer<T>& to) const {
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t size = std::min<int64_t>(SIDE, problem.values - b * SIDE);
      for (int64_t t = 0; t < SIDE; ++t) {
        T* row = to + (b * SIDE + t) * SIDE;
        if (t < steps)
          std::memcpy(row, at(from, head, start + t) + b * SIDE, size * sizeof(T));
        else
          std::memset(row, 0, size * sizeof(T));
      }
    }
  }
  void write_columns(const Strided& to, int64_t head, int64_t start, int64_t steps, const Buffer<T>& from) const {
    for (int64_t b = 0; b < blocks; ++b)
      for (int64_t t = 0; t < steps; ++t)
        std::memcpy(at(to, head, start + t) + b * SIDE, from + (b * SIDE + t) * SIDE,
                    std::min<int64_t>(SIDE, problem.values - b * SIDE) * sizeof(T));
  }
  // [key][step] to memory.
  void write_steps(const Strided& to, int64_t head, int64_t start, int64_t steps, int64_t size, const T* from) const {
    if (to.data == nullptr) return;
    for (int64_t i = 0; i < rounded_up(size); i += SIDE) transpose(from + i * SIDE, SIDE, rows + i, padded);
    for (int64_t t = 0; t < steps; ++t) std::memcpy(at(to, head, start + t), rows + t * padded, size * sizeof(T));
    std::memset(rows.data(), 0, SIDE * padded * sizeof(T));
  }
  Row<T> scalars(const Strided& from, int64_t head, int64_t start, int64_t steps, T otherwise) const {
    T each[SIDE] = {};
    for (int64_t t = 0; t < steps; ++t) each[t] = from.data == nullptr ? otherwise : *at(from, head, start + t);
    return Row<T>::of(each);
  }
  void write_scalars(const Strided& to, int64_t head, int64_t start, int64_t steps, const T* from) const {
    if (to.data == nullptr) return;
    for (int64_t t = 0; t < steps; ++t) *at(to, head, start + t) = from[t];
  }

  T* block_of(int64_t head, int64_t block) const { return state + (head * blocks + block) * padded * SIDE; }
  T* kept(int64_t start, int64_t head, int64_t block) const {
    const int64_t place = (sequence * problem.groups + group) * chunks() + start / SIDE;
    return static_cast<T*>(problem.states) + ((place * problem.heads + head) * blocks + block) * keys * SIDE;
  }

  // What all heads of a group share.
  void read_chunk(int64_t start, int64_t steps) const {
    read_steps(problem.q, group, start, steps, keys, (turned ? q_given : q_steps).data());
    read_steps(problem.k, group, start, steps, keys, (turned ? k_given : k_steps).data());
    if (!turned) score();
  }
  void score() const {
    for (int64_t i = 0; i < padded; i += SIDE) {
      transpose(q_steps + i * SIDE, SIDE, q + i, padded);
      transpose(k_steps + i * SIDE, SIDE, k + i, padded);
    }
    multiply<Onto::nothing>(SIDE, keys, q.data(), padded, k_steps.data(), scores.data());
  }
  void read_head(int64_t head, int64_t start, int64_t steps) const {
    const int64_t number = head_of(head);
    T log_decay[SIDE];
    scalars(problem.log_decay, number, start, steps, 0).to(log_decay);
    weights.set(log_decay, problem.is_signed, scalars(problem.weight, number, start, steps, 1), scalars(problem.own, number, start, steps, 1));
    read_columns(problem.v, number, start, steps, v);
    if constexpr (turned) {
      read_steps(problem.cosine, number, start, steps, problem.angles, cosine.data());
      read_steps(problem.sine, number, start, steps, problem.angles, sine.data());
      turn(q_given.data(), static_cast<const T*>(problem.q_bias) + head * keys, q_steps.data());
      turn(k_given.data(), static_cast<const T*>(problem.k_bias) + head * keys, k_steps.data());
      score();
    }
    weights.weigh(scores.data(), weighed.data());
  }

  void turn(const T* given, const T* bias, T* to) const {
    for (int64_t key = 0; key < keys; ++key) (Row<T>::of(given + key * SIDE) + bias[key]).to(to + key * SIDE);
    for (int64_t pair = 0; pair < problem.angles; ++pair) {
      T *first = to + 2 * pair * SIDE, *second = first + SIDE;
      const Row<T> c = Row<T>::of(cosine + pair * SIDE), s = Row<T>::of(sine + pair * SIDE);
      const Row<T> x = Row<T>::of(first), y = Row<T>::of(second);
      (x * c - y * s).to(first);
      (x * s + y * c).to(second);
    }
  }
  // The gradient of a head's keys to that of what was given, added to `sums`, of the angles, and of the bias, lane by lane.
  void turn_back(T* grad, const T* after, T* sums, T* angle, T* bias) const {
    for (int64_t pair = 0; pair < problem.angles; ++pair) {
      T *first = grad + 2 * pair * SIDE, *second = first + SIDE;
      const Row<T> c = Row<T>::of(cosine + pair * SIDE), s = Row<T>::of(sine + pair * SIDE);
      const Row<T> x = Row<T>::of(first), y = Row<T>::of(second);
      const Row<T> across = y * Row<T>::of(after + 2 * pair * SIDE) - x * Row<T>::of(after + (2 * pair + 1) * SIDE);
      (Row<T>::of(angle + pair * SIDE) + across).to(angle + pair * SIDE);
      (x * c + y * s).to(first);
      (y * c - x * s).to(second);
    }
    for (int64_t i = 0; i < keys * SIDE; i += SIDE) {
      const Row<T> each = Row<T>::of(grad + i);
      (Row<T>::of(sums + i) + each).to(sums + i);
      (Row<T>::of(bias + i) + each).to(bias + i);
    }
  }

  void scale_rows(const T* from, const T* factors) const {  // a block's steps into `scaled`
    for (int i = 0; i < SIDE; ++i) (Row<T>::of(from + i * SIDE) * factors[i]).to(scaled + i * SIDE);
  }
  void scale_lanes(const T* from, const Row<T>& factors) const {
    for (int i = 0; i < SIDE; ++i) (Row<T>::of(from + i * SIDE) * factors).to(scaled + i * SIDE);
  }

  void forward() const {
    for (int64_t start = 0; start < problem.length; start += SIDE) {
      const int64_t steps = std::min<int64_t>(SIDE, problem.length - start);
      read_chunk(start, steps);
      for (int64_t head = 0; head < problem.heads; ++head) {
        read_head(head, start, steps);
        T writing[SIDE];
        (weights.after * weights.weight).to(writing);
        for (int64_t block = 0; block < blocks; ++block) {
          T *S = block_of(head, block), *out = o + block * SIDE * SIDE;
          const T* columns = v + block * SIDE * SIDE;
          if (problem.states != nullptr) std::memcpy(kept(start, head, block), S, keys * SIDE * sizeof(T));
          multiply<Onto::nothing>(SIDE, keys, q.data(), padded, S, out);
          multiply<Onto::scaled>(SIDE, SIDE, weighed.data(), SIDE, columns, out, weights.before);
          scale_rows(columns, writing);
          write_state(k_steps.data(), S);
        }
        write_columns(problem.o, head_of(head), start, steps, o);
      }
    }
  }
  void write_state(const T* factors, T* S) const {
    for (int64_t i = 0; i < padded; i += SIDE)
      multiply<Onto::scaled>(SIDE, SIDE, factors + i * SIDE, SIDE, scaled.data(), S + i * SIDE, weights.whole);
  }

  struct Gradients {
    Buffer<T> o, v, o_steps, v_steps;          // as v, and [block][column][step]
    Buffer<T> before;                          // S before the chunk: [key][column]
    Buffer<T> scores, weighed, weighed_turned;  // [i, j], and [j, i]
    Buffer<T> q, k, q_sums, k_sums, part;      // [key][step]
    Buffer<T> angle;                           // [angle][step]
    Buffer<T> q_bias, k_bias;                  // [head][key][lane]
    Gradients(int64_t padded, int64_t blocks, int64_t heads)
        : o(SIDE * SIDE * blocks), v(SIDE * SIDE * blocks), o_steps(SIDE * SIDE * blocks), v_steps(SIDE * SIDE * blocks),
          before(blocks * padded * SIDE), scores(SIDE * SIDE), weighed(SIDE * SIDE), weighed_turned(SIDE * SIDE),
          q(padded * SIDE), k(padded * SIDE), q_sums(padded * SIDE), k_sums(padded * SIDE), part(padded * SIDE),
          angle(turned ? padded * SIDE : 0), q_bias(turned ? heads * padded * SIDE : 0),
          k_bias(turned ? heads * padded * SIDE : 0) {}
  };

  void backward() const {
    const Gradients grad(padded, blocks, problem.heads);
    const auto clear = [&](const Buffer<T>& of) { std::memset(of.data(), 0, of.size() * sizeof(T)); };
    for (int64_t start = (chunks() - 1) * SIDE; start >= 0; start -= SIDE) {
      const int64_t steps = std::min<int64_t>(SIDE, problem.length - start);
      read_chunk(start, steps);
      clear(grad.q_sums);
      clear(grad.k_sums);
      for (int64_t head = 0; head < problem.heads; ++head) {
        read_head(head, start, steps);
        back_head(head, start, steps, grad, turned ? grad.q : grad.q_sums, turned ? grad.k : grad.k_sums);
        if constexpr (turned) {
          clear(grad.angle);
          const int64_t place = head * padded * SIDE;
          turn_back(grad.q.data(), q_steps.data(), grad.q_sums.data(), grad.angle.data(), grad.q_bias + place);
          turn_back(grad.k.data(), k_steps.data(), grad.k_sums.data(), grad.angle.data(), grad.k_bias + place);
          write_steps(problem.grad_angle, head, start, steps, problem.angles, grad.angle.data());
          clear(grad.q);
          clear(grad.k);
        }
      }
      write_steps(problem.grad_q, group, start, steps, keys, grad.q_sums.data());
      write_steps(problem.grad_k, group, start, steps, keys, grad.k_sums.data());
    }
    if constexpr (turned)
      for (int64_t head = 0; head < problem.heads; ++head)
        for (int64_t key = 0; key < keys; ++key) {
          const int64_t to = (sequence * problem.heads + head) * keys + key, from = (head * padded + key) * SIDE;
          static_cast<T*>(problem.grad_q_bias)[to] = Row<T>::of(grad.q_bias + from).sum();
          static_cast<T*>(problem.grad_k_bias)[to] = Row<T>::of(grad.k_bias + from).sum();
        }
  }

  // Adds to the gradients of q and k, [key][step]; `state` holds dL/dS behind the chunk, then before it.
  void back_head(int64_t head, int64_t start, int64_t steps, const Gradients& grad, const Buffer<T>& grad_q,
                 const Buffer<T>& grad_k) const {
    const int64_t number = head_of(head), size = SIDE * SIDE;
    read_columns(problem.grad_o, number, start, steps, grad.o);
    for (int64_t block = 0; block < blocks; ++block) {
      std::memcpy(grad.before + block * padded * SIDE, kept(start, head, block), keys * SIDE * sizeof(T));
      transpose(v + block * size, SIDE, grad.v_steps + block * size, SIDE);
      transpose(grad.o + block * size, SIDE, grad.o_steps + block * size, SIDE);
      const auto product = block ? multiply<Onto::sum, T> : multiply<Onto::nothing, T>;
      product(SIDE, SIDE, grad.o + block * size, SIDE, grad.v_steps + block * size, grad.scores.data(), nullptr);
    }
    weights.weigh(grad.scores.data(), grad.weighed.data());
    transpose(grad.weighed.data(), SIDE, grad.weighed_turned.data(), SIDE);

    const Row<T> read = through(grad.before.data(), grad.o_steps.data(), Row<T>::of(weights.before), q_steps.data(),
                                Row<T>{} + T(1), grad.part.data(), grad_q.data());
    multiply<Onto::sum>(padded, SIDE, k_steps.data(), SIDE, grad.weighed_turned.data(), grad_q.data());
    const Row<T> written = through(block_of(head, 0), grad.v_steps.data(), weights.after, k_steps.data(), weights.weight,
                                   grad.part.data(), grad_k.data());
    multiply<Onto::sum>(padded, SIDE, q_steps.data(), SIDE, grad.weighed.data(), grad_k.data());

    transpose(weighed.data(), SIDE, grad.weighed_turned.data(), SIDE);
    T writing[SIDE], held = 0;
    (weights.after * weights.weight).to(writing);
    for (int64_t block = 0; block < blocks; ++block) {
      T *D = block_of(head, block), *to = grad.v + block * size;
      const T* columns = grad.o + block * size;
      multiply<Onto::nothing>(SIDE, keys, k.data(), padded, D, to);
      multiply<Onto::scaled>(SIDE, SIDE, grad.weighed_turned.data(), SIDE, columns, to, writing);
      held += column_sums(padded, grad.before + block * padded * SIDE, D).sum();
      scale_rows(columns, weights.before);
      write_state(q_steps.data(), D);
    }
    write_columns(problem.grad_v, number, start, steps, grad.v);
    back_weights(number, start, steps, grad.scores.data(), read, written, held * weights.whole[0]);
  }

  // What goes to q (or k) through a state, weighed step by step, added to `sums`; returned is its product with q itself.
  Row<T> through(const T* state, const T* columns, const Row<T>& factors, const T* itself, const Row<T>& weight, T* part,
                 T* sums) const {
    for (int64_t block = 0; block < blocks; ++block) {
      scale_lanes(columns + block * SIDE * SIDE, factors);
      const auto product = block ? multiply<Onto::sum, T> : multiply<Onto::nothing, T>;
      product(padded, SIDE, state + block * padded * SIDE, SIDE, scaled.data(), part, nullptr);
    }
    for (int64_t i = 0; i < padded * SIDE; i += SIDE)
      (Row<T>::of(sums + i) + Row<T>::of(part + i) * weight).to(sums + i);
    return column_sums(padded, itself, part);
  }

  // The decay of step t is in whatever a step from t on reads of one before t, or of the state before the chunk.
  void back_weights(int64_t number, int64_t start, int64_t steps, const T* grad_scores, const Row<T>& read,
                    const Row<T>& written, T whole) const {
    T reading[SIDE], writing[SIDE], decay[SIDE], weight[SIDE], own[SIDE];
    read.to(reading);
    (written * weights.weight).to(writing);
    Row<T> across = {}, by_weight = written;
    T later = whole, earlier = 0;
    for (int t = SIDE - 1; t >= 0; --t) {
      const Row<T> both = Row<T>::of(grad_scores + t * SIDE) * Row<T>::of(scores + t * SIDE);
      by_weight += (both * Row<T>::of(weights.between + t * SIDE)).first(t);
      across += both * Row<T>::of(weights.tile + t * SIDE);
      across = across.first(t);
      own[t] = grad_scores[t * SIDE + t] * scores[t * SIDE + t];
      decay[t] = (later += reading[t]) + across.sum();
    }
    for (int t = 0; t < SIDE; ++t) {
      decay[t] = (decay[t] + earlier) * weights.slope[t];
      earlier += writing[t];
    }
    by_weight.to(weight);
    write_scalars(problem.grad_log_decay, number, start, steps, decay);
    write_scalars(problem.grad_weight, number, start, steps, weight);
    write_scalars(problem.grad_own, number, start, steps, own);
  }
};

int64_t threads_for(const Problem& problem) {
  const int64_t work = problem.batch * problem.groups * problem.heads * problem.length * problem.keys * problem.values;
  return std::max<int64_t>(1, std::min(problem.threads, work / MULTIPLICATIONS_A_THREAD));
}

template <typename T, bool turned>
void solve(const Problem& problem, bool backward) {
  typedef Task<T, turned> Here;
  in_parallel(Here::count(problem), threads_for(problem), [&](int64_t index) {
    const Here task(problem, index);
    backward ? task.backward() : task.forward();
  });
}

template <typename T>
void choose(const Problem& problem, bool backward) {
  problem.q_bias != nullptr ? solve<T, true>(problem, backward) : solve<T, false>(problem, backward);
}

}  // namespace

extern "C" {
int64_t side() { return SIDE; }
void forward_float32(const Problem* problem) { choose<float>(*problem, false); }
void forward_float64(const Problem* problem) { choose<double>(*problem, false); }
void backward_float32(const Problem* problem) { choose<float>(*problem, true); }
void backward_float64(const Problem* problem) { choose<double>(*problem, true); }
}
