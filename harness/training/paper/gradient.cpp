// The hinge loss of the simplified gated state space model (arXiv 2602.12499, Eqs. 2-6) and its gradient to w_D and W_O.
//
// Long because: one translation unit, a template over the width, whose products and gates share one sample's buffers.
//
//     u = X w_D,   y_t = sum_{s<=t} P_ts x_s,   P_ts = prod_{s<j<=t} (1 - sigmoid(u_j)) sigmoid(u_s) S_ts,
//     h = Y W_O^T,   F = (1/L) sum_t v . relu(h_t),   loss = mean over samples of max(0, 1 - z F)
//
// One sample at a time runs forward within the first caches. Those with z F < 1 stay in a slot until about BLOCK_ROWS
// rows are there, and then run backward together; the others leave their slot to the next one. Five matrix products
// make up nearly all of the work, and one register tile does all five: a broadcast number times vectors of a row.
//
//     Y = P X          lanes: features   causal            dY = M (v W_O)   lanes: features
//     H = Y W_O^T      lanes: neurons                      dP = dY X^T      lanes: sources s, causal
//     dW_O = M^T Y     lanes: features                     with M_ti = -z 1[h_ti > 0]
//
// The weights cost no exponential for a pair (t, s). With D_t the sum of log2(1 - sigmoid(u_j)) up to t, and
// D'_s = D_s - log2 sigmoid(u_s), both in double, the weight is 2^(D_t - D'_s). Each of them is split into its nearest
// whole number and a rest: 2^D_t = 2^whole_t a_t, and the weight is a_t b_s 2^(whole_t - whole'_s), where the last
// factor is an integer put into a float's exponent. Three roundings, at any saturation.
//
// The gate's gradient is sums of E_ts = P_ts dP_ts alone: sum_{t>=s} E_ts goes to log sigmoid(u_s), and the rectangle
// sum_{s<j<=t} E_ts to log(1 - sigmoid(u_j)). The rectangles are summed as they are, never as differences of larger
// sums, so that saturated gates get the tiny gradient they have. Results depend on nothing but the arguments.

#include <algorithm>
#include <limits>

#include "simd.h"

// What Python hands over; `gradient.py` mirrors it. Everything is contiguous float32 but for `loss`.
struct Problem {
  int64_t samples, length, width, neurons;
  const float* tokens;  // [samples, length, width]; with `mixed` the y_t themselves
  const float* labels;  // [samples], 1 or -1
  const float* scores;  // [samples, length (length + 1) / 2] and SLACK more: S_ts with s <= t; null: x_s . x_t
  const float *w_D, *W_O, *v;  // [width], [neurons, width], [neurons]
  int64_t mixed;        // 1: tokens are y_t, and only W_O has a gradient
  float* margins;       // [samples]
  double* loss;
  float *gate, *hidden;  // [width], [neurons, width]; null: forward only
};

namespace {

constexpr int64_t BLOCK_ROWS = 64;     // rows that run backward together
constexpr int64_t ROWS_A_SUM = 2048;   // sums of more rows than that are taken in double
constexpr int TILE = 6, PAIR = 2;      // a tile: up to 6 broadcast numbers times 2 vectors, in 12 registers
constexpr double LEAST_LOG2 = -1000;   // a factor below 2^-1000 makes any product with it zero in float32

typedef Vector<float> Floats;
typedef Vector<double> Doubles;
typedef Bits<float> FloatBits;
typedef float HalfVector __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef int32_t HalfBits __attribute__((vector_size(VECTOR_BYTES / 2)));
constexpr int FLOATS = WIDTH<float>, DOUBLES = WIDTH<double>;
constexpr int EXP2_TERMS = 11, ARTANH_TERMS = 11;  // 2^x to 2e-13; artanh(x) / x for x <= 1/3 to 1e-12

// Floats as doubles. GCC makes two halves of the plain form.
#if VECTOR_BYTES == 64
INLINE Doubles widened(const float* from) { return _mm512_cvtps_pd(_mm256_loadu_ps(from)); }
#elif VECTOR_BYTES == 32
INLINE Doubles widened(const float* from) { return _mm256_cvtps_pd(_mm_loadu_ps(from)); }
#else
INLINE Doubles widened(const float* from) { return __builtin_convertvector(load<HalfVector>(from), Doubles); }
#endif

constexpr int64_t padded(int64_t size) { return (size + FLOATS - 1) / FLOATS * FLOATS; }

// 0, 1, 2, ... in the lanes.
INLINE FloatBits lanes() {
  FloatBits result;
  for (int i = 0; i < FLOATS; ++i) result[i] = i;
  return result;
}

// The first `count` lanes of x, zero in the others whatever they held.
INLINE Floats first_lanes(Floats x, int64_t count) {
  return (Floats)((FloatBits)x & (lanes() < FloatBits{} + static_cast<int32_t>(count)));
}

// x as a whole number in the lowest bits of `shifted` and a rest within 1/2.
INLINE Doubles split(Doubles x, Doubles& shifted) {
  shifted = x + 0x1.8p52;
  return x - (shifted - 0x1.8p52);
}

// 2^x for LEAST_LOG2 <= x <= 0.
INLINE Doubles exp2(Doubles x) {
  Doubles shifted;
  const Doubles rest = split(x, shifted);
  return (Doubles)((Bits<double>)polynomial<EXP2_TERMS>(rest, EXP2_SERIES) + ((Bits<double>)shifted << 52));
}

// A number for each (row, k), at data[row * row_stride + k * step].
struct Numbers {
  const float* data;
  int64_t row_stride, step;
};

// Hands sum_k numbers(r, k) * vectors(k, c) to `finish`, for R rows and C vectors: `vectors` has a row for each k.
template <int R, int C, typename Finish>
INLINE void tile(int64_t terms, Numbers numbers, const float* vectors, int64_t stride, const Finish& finish) {
  Floats sums[R][C] = {};
#pragma GCC unroll 2
  for (int64_t k = 0; k < terms; ++k) {
    Floats row[C];
    for (int c = 0; c < C; ++c) row[c] = load<Floats>(vectors + k * stride + c * FLOATS);
    for (int r = 0; r < R; ++r) {
      const Floats number = all(numbers.data[r * numbers.row_stride + k * numbers.step]);
      for (int c = 0; c < C; ++c) sums[r][c] += number * row[c];
    }
  }
  finish(sums);
}

template <int value>
struct Constant {
  static constexpr int VALUE = value;
};

// Cuts `rows` into tiles of nearly equal height, at most TILE; calls run(height as a constant, first row).
template <typename Run>
INLINE void for_rows(int64_t rows, const Run& run) {
  const int64_t tiles = (rows + TILE - 1) / TILE;
  for (int64_t i = 0, row = 0; i < tiles; ++i) {
    const int64_t height = (rows - row + tiles - i - 1) / (tiles - i);
    switch (height) {
      case 6: run(Constant<6>(), row); break;
      case 5: run(Constant<5>(), row); break;
      case 4: run(Constant<4>(), row); break;
      case 3: run(Constant<3>(), row); break;
      case 2: run(Constant<2>(), row); break;
      default: run(Constant<1>(), row);
    }
    row += height;
  }
}

// Calls run(number of vectors as a constant, first lane) over `size` lanes, a whole number of vectors.
template <typename Run>
INLINE void for_lanes(int64_t size, const Run& run) {
  int64_t lane = 0;
  for (; lane + PAIR * FLOATS <= size; lane += PAIR * FLOATS) run(Constant<PAIR>(), lane);
  if (lane < size) run(Constant<1>(), lane);
}

template <int R, int C>
INLINE void store_tile(float* to, int64_t stride, const Floats (&sums)[R][C]) {
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(to + r * stride + c * FLOATS, sums[r][c]);
}

// to[c][r] = from[r][c] for r < rows, c < columns.
void transpose(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride) {
  int64_t done = 0;
#if defined(__AVX__)
  const int64_t whole = columns / 8 * 8;
  for (; rows >= 8 && done < rows; done += 8) {
    const int64_t r = std::min(done, rows - 8);  // the last eight rows may include some that were there before
    for (int64_t c = 0; c < whole; c += 8) {
      __m256 a[8], b[8];
      for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(from + (r + i) * from_stride + c);
      for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
      }
      for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; ++j) {
          a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0x44);
          a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0xee);
        }
      for (int i = 0; i < 4; ++i) {
        _mm256_storeu_ps(to + (c + i) * to_stride + r, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (c + i + 4) * to_stride + r, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
      }
    }
    for (int64_t c = whole; c < columns; ++c)
      for (int64_t i = 0; i < 8; ++i) to[c * to_stride + r + i] = from[(r + i) * from_stride + c];
  }
#endif
  for (int64_t r = done; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) to[c * to_stride + r] = from[r * from_stride + c];
}

// D: the width where it is known when compiling, else 0.
template <int D>
class Model {
  const Problem& problem;
  const int64_t length = problem.length, neurons = problem.neurons, rows_wide = padded(length);
  const int64_t neurons_wide = padded(neurons), slots = std::max<int64_t>(1, BLOCK_ROWS / length);
  const int64_t runtime_width = problem.width;
  const bool gradient = problem.hidden != nullptr, gated = !problem.mixed;

  INLINE int64_t width() const { return D ? D : runtime_width; }
  INLINE int64_t wide() const { return D ? padded(D) : padded(runtime_width); }
  int64_t pairs() const { return gated ? length * rows_wide : 0; }

  // Parameters: w_D; W_O^T [width, neurons]; v W_O [neurons, width]; v. All with zeros up to whole vectors.
  Buffer<double> w{wide()};
  Buffer<float> transposed{width() * neurons_wide}, scaled{neurons * wide()}, v{neurons_wide};
  // Of each slot: tokens where they need zeros to whole vectors, their transpose, P (then E), Y, M, sigmoid(+-u).
  Buffer<float> tokens{width() == wide() ? 0 : slots * length * wide()}, sources{gated ? slots * width() * rows_wide : 0};
  Buffer<float> weights{slots * pairs()}, y{slots * length * wide()}, active{slots * length * neurons_wide};
  Buffer<float> gate{slots * rows_wide}, decay{slots * rows_wide};
  // Of one sample: u, D_t, D'_s; their whole numbers and the powers of two of their rests; sums of relu(h) over time.
  Buffer<double> u{rows_wide}, total{rows_wide}, source{rows_wide};
  Buffer<int32_t> whole_total{rows_wide}, whole_source{rows_wide};
  Buffer<float> power_total{rows_wide}, power_source{rows_wide}, relu_sums{neurons_wide};
  // Gradients: to Y; to the two logarithms; to u; sums over rows so far, and over what came before those.
  Buffer<float> grad_y{slots * length * wide()}, forgotten{length * FLOATS}, written{rows_wide}, grad_u{rows_wide};
  Buffer<float> grad_hidden{neurons * wide()}, grad_gate{wide()};
  Buffer<double> sum_hidden{neurons * wide()}, sum_gate{wide()};
  Buffer<const float*> samples{slots};

 public:
  explicit Model(const Problem& problem) : problem(problem) {
    for (int64_t i = 0; i < width(); ++i) w[i] = problem.w_D[i];
    transpose(problem.W_O, width(), neurons, width(), transposed + 0, neurons_wide);
    for (int64_t i = 0; i < neurons; ++i) {
      v[i] = problem.v[i];
      for (int64_t c = 0; c < width(); ++c) scaled[i * wide() + c] = problem.v[i] * problem.W_O[i * width() + c];
    }
  }

  void run() {
    double loss = 0;
    int64_t taken = 0, summed = 0;
    for (int64_t n = 0; n < problem.samples; ++n) {
      prepare(n, taken);
      const float margin = forward(taken, problem.labels[n]);
      problem.margins[n] = margin;
      if (margin >= 1) continue;  // not so for NaN, which then shows in the loss
      loss += 1 - static_cast<double>(margin);
      if (!gradient || ++taken < slots) continue;
      backward(taken);
      summed += taken * length;
      taken = 0;
      if (summed >= ROWS_A_SUM) summed = flush();
    }
    *problem.loss = loss / problem.samples;
    if (!gradient) return;
    if (taken) backward(taken);
    flush();
    const double scale = 1. / (static_cast<double>(problem.samples) * length);
    for (int64_t i = 0; i < neurons; ++i)
      for (int64_t c = 0; c < width(); ++c)
        problem.hidden[i * width() + c] = static_cast<float>(sum_hidden[i * wide() + c] * scale * problem.v[i]);
    for (int64_t c = 0; c < width(); ++c) problem.gate[c] = static_cast<float>(sum_gate[c] * scale);
  }

  // y [samples, length, width] alone.
  void mix(float* to) {
    for (int64_t n = 0; n < problem.samples; ++n) {
      prepare(n, 0);
      for (int64_t t = 0; t < length; ++t)
        std::memcpy(to + (n * length + t) * width(), y + t * wide(), width() * sizeof(float));
    }
  }

  // S_ts of every sample with s <= t: of given scores [samples, length, length], or x_s . x_t.
  void pack(const float* scores, float* to) {
    for (int64_t n = 0; n < problem.samples; ++n) {
      const float* from = scores + n * length * length;
      if (scores == nullptr) {
        place_tokens(n, 0);
        products(0);
        from = weights + 0;
      }
      const int64_t stride = scores ? length : rows_wide;
      for (int64_t t = 0; t < length; to += ++t) std::memcpy(to, from + t * stride, (t + 1) * sizeof(float));
    }
  }

 private:
  void place_tokens(int64_t n, int64_t slot) {
    samples[slot] = problem.tokens + n * length * width();
    if (width() == wide()) return;
    for (int64_t t = 0; t < length; ++t)
      std::memcpy(tokens + (slot * length + t) * wide(), samples[slot] + t * width(), width() * sizeof(float));
    samples[slot] = tokens + slot * length * wide();
  }

  // Y of sample n, in a slot.
  void prepare(int64_t n, int64_t slot) {
    place_tokens(n, slot);
    if (!gated) {
      std::memcpy(y + slot * length * wide(), samples[slot], length * wide() * sizeof(float));
      return;
    }
    gates(slot);
    float* const weight = weights + slot * pairs();
    const float* scores = nullptr;
    if (problem.scores == nullptr)
      products(slot);
    else
      scores = problem.scores + n * (length * (length + 1) / 2);
    weigh(weight, scores);
    for_lanes(wide(), [&](auto C, int64_t lane) {
      for_rows(length, [&](auto R, int64_t t) {
        tile<R.VALUE, C.VALUE>(t + R.VALUE, {weight + t * rows_wide, rows_wide, 1}, samples[slot] + lane, wide(),
                               [&](const auto& sums) {
                                 store_tile(y + (slot * length + t) * wide() + lane, wide(), sums);
                               });
      });
    });
  }

  // x_s . x_t into P, s <= t and a few more. Leaves the transposed tokens, which backward then finds.
  void products(int64_t slot) {
    float* const to = weights + slot * pairs();
    const float* const from = place_sources(slot);
    for_causal(to, samples[slot], from, [](const Floats& sum, float* place) { store(place, sum); });
  }

  const float* place_sources(int64_t slot) {
    float* const to = sources + slot * width() * rows_wide;
    transpose(samples[slot], wide(), length, width(), to, rows_wide);
    return to;
  }

  // finish(sum_c rows[t][c] columns[c][s .. s + FLOATS], &at[t][s]) for all s up to the vector that holds s = t.
  template <typename Finish>
  INLINE void for_causal(float* at, const float* rows, const float* columns, const Finish& finish) {
    for_rows(length, [&](auto R, int64_t t) {
      for_lanes(padded(t + R.VALUE), [&](auto C, int64_t s) {
        tile<R.VALUE, C.VALUE>(width(), {rows + t * wide(), wide(), 1}, columns + s, rows_wide, [&](const auto& sums) {
          for (int r = 0; r < R.VALUE; ++r)
            for (int c = 0; c < C.VALUE; ++c) finish(sums[r][c], at + (t + r) * rows_wide + s + c * FLOATS);
        });
      });
    });
  }

  // u and all that depends on a token's gate alone.
  void gates(int64_t slot) {
    for_rows(length, [&](auto R, int64_t t) {
      const float* const x = samples[slot] + t * wide();
      Doubles sums[R.VALUE] = {};
      for (int64_t c = 0; c < wide(); c += DOUBLES)
        for (int r = 0; r < R.VALUE; ++r)
          sums[r] += widened(x + r * wide() + c) * load<Doubles>(w + c);
      for (int r = 0; r < R.VALUE; ++r) u[t + r] = sum_of_lanes(sums[r]);
    });
    for (int64_t t = 0; t < rows_wide; t += DOUBLES) {
      const Doubles x = load<Doubles>(u + t), zero = all(0.), least = all(LEAST_LOG2);
      const Doubles above = (x > zero ? x : zero) * LOG2_E, below = (x < zero ? x : zero) * -LOG2_E;
      Doubles exponent = -(above + below);
      exponent = exponent < least ? least : exponent;
      const Doubles small = exp2(exponent), part = small / (small + 2.), large = 1. / (small + 1.);
      const Doubles rest = part * polynomial<ARTANH_TERMS>(part * part, ARTANH_SERIES) * (2 * LOG2_E);  // log2(1 + e^-|u|)
      Doubles of_gate = -(below + rest), of_decay = -(above + rest);
      of_gate = of_gate < least ? least : of_gate;
      of_decay = of_decay < least ? least : of_decay;
      of_decay = x == x ? of_decay : x;  // NaN goes on to y
      const Doubles of_x = x > zero ? large : small * large, of_minus_x = x > zero ? small * large : large;
      store(gate + slot * rows_wide + t, __builtin_convertvector(of_x, HalfVector));
      store(decay + slot * rows_wide + t, __builtin_convertvector(of_minus_x, HalfVector));
      store(total + t, of_decay);
      store(source + t, of_gate);
    }
    double sum = 0;
    for (int64_t t = 0; t < length; ++t) {
      sum += total[t];
      total[t] = sum;
      source[t] = sum - source[t];
    }
    for (int64_t t = 0; t < rows_wide; t += DOUBLES) {
      Doubles shifted;
      const Doubles rest_total = split(load<Doubles>(total + t), shifted);
      store(whole_total + t, __builtin_convertvector(shifted - 0x1.8p52, HalfBits));
      store(power_total + t, __builtin_convertvector(polynomial<EXP2_TERMS>(rest_total, EXP2_SERIES), HalfVector));
      const Doubles rest_source = split(load<Doubles>(source + t), shifted);
      store(whole_source + t, __builtin_convertvector(shifted - 0x1.8p52, HalfBits));
      store(power_source + t, __builtin_convertvector(polynomial<EXP2_TERMS>(-rest_source, EXP2_SERIES), HalfVector));
    }
  }

  // P from packed scores, or from scores that lie where P will. Zero where s > t; vectors beyond that one stay zero.
  void weigh(float* weight, const float* packed) {
    const FloatBits zero = {};
    for (int64_t t = 0; t < length; ++t) {
      float* const to = weight + t * rows_wide;
      const float* const from = packed ? packed + t * (t + 1) / 2 : to;
      const FloatBits bias = zero + (whole_total[t] + 127);
      const Floats power = all(power_total[t]);
      for (int64_t s = 0; s <= t; s += FLOATS) {
        FloatBits exponent = bias - load<FloatBits>(whole_source + s);
        exponent = (exponent > zero ? exponent : zero) << 23;
        const Floats product = load<Floats>(from + s) * (load<Floats>(power_source + s) * power) * (Floats)exponent;
        store(to + s, s + FLOATS <= t + 1 ? product : first_lanes(product, t + 1 - s));
      }
      // A tile of scores reached further than rows do.
      if (!packed)
        for (int64_t s = padded(t + 1); s < rows_wide; s += FLOATS) store(to + s, all(0.f));
    }
  }

  // The margin z F of the sample in a slot, and M.
  float forward(int64_t slot, float label) {
    const float* const from = y + slot * length * wide();
    float* const to = active + slot * length * neurons_wide;
    const FloatBits value = (FloatBits)all(-label);
    const Floats zero = all(0.f);
    Doubles sum = all(0.);
    for_lanes(neurons_wide, [&](auto C, int64_t lane) {
      Floats totals[C.VALUE] = {};
      for_rows(length, [&](auto R, int64_t t) {
        tile<R.VALUE, C.VALUE>(width(), {from + t * wide(), wide(), 1}, transposed + lane, neurons_wide,
                               [&](const auto& sums) {
                                 for (int r = 0; r < R.VALUE; ++r)
                                   for (int c = 0; c < C.VALUE; ++c) {
                                     const Floats h = sums[r][c];
                                     totals[c] += at_least(zero, h);
                                     const FloatBits mask = value & (h > zero);
                                     store(to + (t + r) * neurons_wide + lane + c * FLOATS, (Floats)mask);
                                   }
                               });
      });
      for (int c = 0; c < C.VALUE; ++c) {
        float values[FLOATS];
        store(values, totals[c]);
        for (int half = 0; half < 2; ++half)
          sum += widened(values + half * DOUBLES) * widened(v + lane + c * FLOATS + half * DOUBLES);
      }
    });
    return static_cast<float>(label * sum_of_lanes(sum) / length);
  }

  void backward(int64_t taken) {
    const int64_t rows = taken * length;
    for (int64_t first = 0; first < rows; first += BLOCK_ROWS) {
      const int64_t block = std::min(BLOCK_ROWS, rows - first);
      const float* const M = active + first * neurons_wide;
      for_lanes(wide(), [&](auto C, int64_t lane) {
        for_rows(neurons, [&](auto R, int64_t i) {
          tile<R.VALUE, C.VALUE>(block, {M + i, 1, neurons_wide}, y + first * wide() + lane, wide(),
                                 [&](const auto& sums) {
                                   for (int r = 0; r < R.VALUE; ++r)
                                     for (int c = 0; c < C.VALUE; ++c) {
                                       float* const to = grad_hidden + (i + r) * wide() + lane + c * FLOATS;
                                       store(to, load<Floats>(to) + sums[r][c]);
                                     }
                                 });
        });
        if (gated)
          for_rows(block, [&](auto R, int64_t t) {
            tile<R.VALUE, C.VALUE>(neurons, {M + t * neurons_wide, neurons_wide, 1}, scaled + lane, wide(),
                                   [&](const auto& sums) {
                                     store_tile(grad_y + (first + t) * wide() + lane, wide(), sums);
                                   });
          });
      });
    }
    if (gated)
      for (int64_t slot = 0; slot < taken; ++slot) backward_gates(slot);
  }

  void backward_gates(int64_t slot) {
    float* const E = weights + slot * pairs();
    const float* columns = sources + slot * width() * rows_wide;
    if (problem.scores != nullptr) columns = place_sources(slot);
    for_causal(E, grad_y + slot * length * wide(), columns,
               [](const Floats& sum, float* place) { store(place, sum * load<Floats>(place)); });

    std::memset(forgotten + 0, 0, length * FLOATS * sizeof(float));
    for (int64_t s = 0; s < length; s += FLOATS) {
      Floats later = all(0.f);  // sum over t' >= t of E_t's
      for (int64_t t = length - 1; t >= s; --t) {
        later += load<Floats>(E + t * rows_wide + s);
        const Floats before = t - s >= FLOATS ? later : first_lanes(later, t - s);
        store(forgotten + t * FLOATS, load<Floats>(forgotten + t * FLOATS) + before);
      }
      store(written + s, later);
    }
    for (int64_t t = 0; t < length; ++t)
      grad_u[t] = written[t] * decay[slot * rows_wide + t] -
                  sum_of_lanes(load<Floats>(forgotten + t * FLOATS)) * gate[slot * rows_wide + t];
    for_lanes(wide(), [&](auto C, int64_t lane) {
      tile<1, C.VALUE>(length, {grad_u + 0, 0, 1}, samples[slot] + lane, wide(), [&](const auto& sums) {
        for (int c = 0; c < C.VALUE; ++c) {
          float* const to = grad_gate + lane + c * FLOATS;
          store(to, load<Floats>(to) + sums[0][c]);
        }
      });
    });
  }

  int64_t flush() {
    const auto add = [](double* to, float* from, int64_t size) {
      for (int64_t i = 0; i < size; ++i) {
        to[i] += from[i];
        from[i] = 0;
      }
    };
    add(sum_hidden + 0, grad_hidden + 0, neurons * wide());
    add(sum_gate + 0, grad_gate + 0, wide());
    return 0;
  }
};

template <typename Run>
void with_model(const Problem& problem, const Run& run) {
  const FlushDenormals flushed;
  switch (problem.width) {
    case 32: return run(Model<32>(problem));
    case 64: return run(Model<64>(problem));
    case 128: return run(Model<128>(problem));
    default: return run(Model<0>(problem));
  }
}

}  // namespace

extern "C" {
void hinge_gradient(const Problem* problem) {
  with_model(*problem, [](auto&& model) { model.run(); });
}
void mix(const Problem* problem, float* y) {
  with_model(*problem, [&](auto&& model) { model.mix(y); });
}
void pack_scores(const Problem* problem, const float* scores, float* packed) {
  with_model(*problem, [&](auto&& model) { model.pack(scores, packed); });
}
}
