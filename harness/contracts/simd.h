// Vectors of the widest instructions at hand, and what every C++ kernel here needs of them.
//
// Long because: what kernels share stands in one place, and each kernel is one translation unit.
//
// A kernel is one translation unit, so all of this is its own: nothing is shared between libraries in one process.

#ifndef HARNESS_SIMD_H
#define HARNESS_SIMD_H

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>
#if defined(__SSE__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#define INLINE inline __attribute__((always_inline))

namespace {

template <typename T>
struct OfType;
template <>
struct OfType<float> {
  typedef float Vector __attribute__((vector_size(VECTOR_BYTES)));
  typedef int32_t Bits __attribute__((vector_size(VECTOR_BYTES)));
};
template <>
struct OfType<double> {
  typedef double Vector __attribute__((vector_size(VECTOR_BYTES)));
  typedef int64_t Bits __attribute__((vector_size(VECTOR_BYTES)));
};
template <typename T>
using Vector = typename OfType<T>::Vector;
template <typename T>
using Bits = typename OfType<T>::Bits;  // the whole numbers that its lanes are made of
template <typename T>
constexpr int WIDTH = VECTOR_BYTES / sizeof(T);

constexpr double LOG2_E = 1.4426950408889634074;
// ln(2)^k / k!, of which 2^x is made on [-1/2, 1/2], and 1 / (2 k + 1), of which artanh(x) / x is made of x^2.
constexpr double EXP2_SERIES[] = {1.,
                                  0.69314718055994530942,
                                  0.24022650695910071233,
                                  0.055504108664821579953,
                                  0.0096181291076284771619,
                                  0.0013333558146428443423,
                                  1.5403530393381609954e-4,
                                  1.5252733804059840280e-5,
                                  1.3215486790144309489e-6,
                                  1.0178086009239699728e-7,
                                  7.0549116208011233299e-9,
                                  4.4455382718708114976e-10,
                                  2.5678435993488205141e-11,
                                  1.3691488853904128881e-12,
                                  6.7787263548225456335e-14};
constexpr double ARTANH_SERIES[] = {1.,      1. / 3,  1. / 5,  1. / 7,  1. / 9,  1. / 11, 1. / 13, 1. / 15, 1. / 17,
                                    1. / 19, 1. / 21, 1. / 23, 1. / 25, 1. / 27, 1. / 29, 1. / 31, 1. / 33};

// A subtraction of zero is nothing to a compiler; an addition is work, for -0 + 0 is not -0.
template <typename T>
INLINE Vector<T> all(T value) {
  return value - Vector<T>{};
}

template <typename V, typename T>
INLINE V load(const T* from) {
  V result;
  std::memcpy(&result, from, sizeof result);
  return result;
}

template <typename V, typename T>
INLINE void store(T* to, V value) {
  std::memcpy(to, &value, sizeof value);
}

// The larger and the smaller, x where x is NaN: a diverged run must not look healthy. GCC makes a comparison and a
// blend of the plain form; the instruction takes its second argument where either is NaN, which is the same.
#if VECTOR_BYTES == 64
INLINE Vector<float> at_least(Vector<float> low, Vector<float> x) { return _mm512_max_ps(low, x); }
INLINE Vector<float> at_most(Vector<float> high, Vector<float> x) { return _mm512_min_ps(high, x); }
INLINE Vector<double> at_least(Vector<double> low, Vector<double> x) { return _mm512_max_pd(low, x); }
INLINE Vector<double> at_most(Vector<double> high, Vector<double> x) { return _mm512_min_pd(high, x); }
#elif VECTOR_BYTES == 32
INLINE Vector<float> at_least(Vector<float> low, Vector<float> x) { return _mm256_max_ps(low, x); }
INLINE Vector<float> at_most(Vector<float> high, Vector<float> x) { return _mm256_min_ps(high, x); }
INLINE Vector<double> at_least(Vector<double> low, Vector<double> x) { return _mm256_max_pd(low, x); }
INLINE Vector<double> at_most(Vector<double> high, Vector<double> x) { return _mm256_min_pd(high, x); }
#else
template <typename V>
INLINE V at_least(V low, V x) {
  return low > x ? low : x;
}
template <typename V>
INLINE V at_most(V high, V x) {
  return high < x ? high : x;
}
#endif

// Always in the same order, whatever the compiler.
template <typename V>
INLINE auto sum_of_lanes(V x) {
  typedef std::decay_t<decltype(x[0])> T;
  T lanes[WIDTH<T>];
  store(lanes, x);
  for (int half = WIDTH<T> / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

#if VECTOR_BYTES >= 32
INLINE float sum_of_lanes(__m256 x) {
  const __m128 four = _mm256_castps256_ps128(x) + _mm256_extractf128_ps(x, 1), two = four + _mm_movehl_ps(four, four);
  return two[0] + two[1];
}
INLINE double sum_of_lanes(__m256d x) {
  const __m128d two = _mm256_castpd256_pd128(x) + _mm256_extractf128_pd(x, 1);
  return two[0] + two[1];
}
#endif
#if VECTOR_BYTES == 64
INLINE float sum_of_lanes(__m512 x) {
  return sum_of_lanes(_mm512_castps512_ps256(x) + _mm512_extractf32x8_ps(x, 1));
}
INLINE double sum_of_lanes(__m512d x) {
  return sum_of_lanes(_mm512_castpd512_pd256(x) + _mm512_extractf64x4_pd(x, 1));
}
#endif

// Where the lanes of a pair of rows, one after the other, go when neighbouring squares of `half` lanes change places.
template <typename T, int half>
struct Exchange {
  typedef std::conditional_t<sizeof(T) == 4, int32_t, int64_t> Place;
  alignas(VECTOR_BYTES) Place upper[WIDTH<T>] = {}, lower[WIDTH<T>] = {};
  constexpr Exchange() {
    for (int i = 0; i < WIDTH<T>; ++i) {
      upper[i] = i & half ? WIDTH<T> + i - half : i;
      lower[i] = i & half ? WIDTH<T> + i : i + half;
    }
  }
};

template <typename T, int half>
INLINE void exchange(Vector<T>& one, Vector<T>& other) {
  const Vector<T> upper = one, lower = other;
#if defined(__clang__)
  for (int i = 0; i < WIDTH<T>; ++i) {
    one[i] = i & half ? lower[i - half] : upper[i];
    other[i] = i & half ? lower[i] : upper[i + half];
  }
#else
  static constexpr Exchange<T, half> EXCHANGE;
  one = __builtin_shuffle(upper, lower, load<Bits<T>>(EXCHANGE.upper));
  other = __builtin_shuffle(upper, lower, load<Bits<T>>(EXCHANGE.lower));
#endif
}

template <typename T, int half = WIDTH<T> / 2>
INLINE void transpose_vectors(Vector<T> (&rows)[WIDTH<T>]) {
  if constexpr (half > 0) {
#pragma GCC unroll 16
    for (int r = 0; r < WIDTH<T>; ++r)
      if (!(r & half)) exchange<T, half>(rows[r], rows[r + half]);
    transpose_vectors<T, half / 2>(rows);
  }
}

// Sums of the lanes of WIDTH vectors, one a lane of the result.
template <typename T, int half = WIDTH<T> / 2>
INLINE Vector<T> sums_of_lanes(const Vector<T>* rows) {
  Vector<T> sums[half];
#pragma GCC unroll 16
  for (int r = 0; r < half; ++r) {
    Vector<T> one = rows[r], other = rows[r + half];
    exchange<T, half>(one, other);
    sums[r] = one + other;
  }
  if constexpr (half > 1)
    return sums_of_lanes<T, half / 2>(sums);
  else
    return sums[0];
}

// The first `terms` of a power series, at least one.
template <int terms, typename V, typename T>
INLINE V polynomial(V x, const T* coefficients) {
  V sum = all<T>(coefficients[terms - 1]);
#pragma GCC unroll 16
  for (int i = terms - 2; i >= 0; --i) sum = sum * x + coefficients[i];
  return sum;
}

// What exp2, softplus and what is made of them take of a type.
template <typename T>
struct Math;

template <>
struct Math<float> {
  static constexpr float SHIFTER = 0x1.8p23f, LOWEST = -126, HIGHEST = 128;
  static constexpr int MANTISSA = 23, EXP2_TERMS = 5, ARTANH_TERMS = 5;
  // Least largest relative error on [-1/2, 1/2] with 2^0 = 1 exactly: 9e-8.
  static constexpr float EXP2[] = {0.6931469775578202f, 0.24022242076983663f, 0.055507337776512004f,
                                   0.009671513022332977f, 0.0013264720366158807f};
  // (artanh(s) / s - 1) / s^2 in powers of s^2 <= 1/9: 2e-10.
  static constexpr float ARTANH[] = {0.3333334019844055f, 0.1999920025869952f, 0.14315573850134458f,
                                     0.10631469192120029f, 0.12474106616487081f};
  static constexpr float LOG2_E = 1.44269504f;
  static constexpr float LN_2 = 0.693359375f, LN_2_REST = -2.12194440e-4f;  // whole times LN_2 is exact
};

template <>
struct Math<double> {
  static constexpr double SHIFTER = 0x1.8p52, LOWEST = -1022, HIGHEST = 1024;
  static constexpr int MANTISSA = 52, EXP2_TERMS = 14, ARTANH_TERMS = 16;  // both series are cut below 1e-17
  static constexpr const double *EXP2 = EXP2_SERIES + 1, *ARTANH = ARTANH_SERIES + 1;
  static constexpr double LOG2_E = ::LOG2_E;
  static constexpr double LN_2 = 0.693145751953125, LN_2_REST = 1.42860682030941723212e-6;
};

template <typename T>
INLINE Vector<T> clamp(Vector<T> x, T low, T high) {
  return at_most(all<T>(high), at_least(all<T>(low), x));
}

// Turns each fraction into 2^(whole + fraction): shifted = whole + SHIFTER has the whole number in its lowest bits, and
// |fraction| <= 1/2. Several vectors go in step: a chain of dependent operations is longer than the queue in which a
// processor looks for something to do meanwhile.
template <typename T, int count>
INLINE void power_of_two(const Vector<T> (&shifted)[count], Vector<T> (&fraction)[count]) {
  constexpr int terms = Math<T>::EXP2_TERMS;
  Vector<T> power[count];
  for (int i = 0; i < count; ++i) power[i] = fraction[i] * Math<T>::EXP2[terms - 1] + Math<T>::EXP2[terms - 2];
#pragma GCC unroll 16
  for (int term = terms - 3; term >= 0; --term)
    for (int i = 0; i < count; ++i) power[i] = power[i] * fraction[i] + Math<T>::EXP2[term];
  for (int i = 0; i < count; ++i) {
    power[i] = power[i] * fraction[i] + T(1);
    fraction[i] = (Vector<T>)((Bits<T>)power[i] + ((Bits<T>)shifted[i] << Math<T>::MANTISSA));
  }
}

template <typename T, int count>
INLINE void exp2(Vector<T> (&x)[count]) {
  Vector<T> shifted[count];
  for (int i = 0; i < count; ++i) x[i] = clamp<T>(x[i], Math<T>::LOWEST, Math<T>::HIGHEST);
  for (int i = 0; i < count; ++i) shifted[i] = x[i] + Math<T>::SHIFTER;
  for (int i = 0; i < count; ++i) x[i] -= shifted[i] - Math<T>::SHIFTER;
  power_of_two<T>(shifted, x);
}

// To the last digits for large |x| too, where x log2(e) alone would lose some.
template <typename T>
INLINE Vector<T> exp(Vector<T> x) {
  // One less than exp2 allows at either end, where rounding could put a fraction beyond what the bits can hold.
  x = clamp<T>(x, (Math<T>::LOWEST + 1) / Math<T>::LOG2_E, (Math<T>::HIGHEST - 1) / Math<T>::LOG2_E);
  const Vector<T> shifted[] = {x * Math<T>::LOG2_E + Math<T>::SHIFTER};
  const Vector<T> whole = shifted[0] - Math<T>::SHIFTER;
  Vector<T> result[] = {(x - whole * Math<T>::LN_2 - whole * Math<T>::LN_2_REST) * Math<T>::LOG2_E};
  power_of_two<T>(shifted, result);
  return result[0];
}

template <typename T>
INLINE Vector<T> sigmoid(Vector<T> x) {
  return T(1) / (T(1) + exp<T>(-x));
}

// max(x, 0) + log(1 + e^-|x|), the logarithm as 2 artanh(m / (2 + m)); above 20 it is x, as in torch.
template <typename T>
INLINE Vector<T> softplus(Vector<T> x) {
  const Vector<T> zero = all<T>(0), small = exp<T>(x > zero ? -x : x);
  const Vector<T> s = small / (small + T(2)), square = s * s;
  const Vector<T> log1p = T(2) * s * (polynomial<Math<T>::ARTANH_TERMS>(square, Math<T>::ARTANH) * square + T(1));
  return x > all<T>(20) ? x : at_least(zero, x) + log1p;
}

// What underflows becomes 0 while this lives: some processors take a hundred times longer over denormal numbers,
// and a state that nothing is written into decays to them.
class FlushDenormals {
#if defined(__SSE__)
  unsigned before = _mm_getcsr();

 public:
  FlushDenormals() { _mm_setcsr(before | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before); }
#else
 public:
  FlushDenormals() {}
  ~FlushDenormals() {}
#endif
};

// Runs tasks 0 to `tasks` - 1, by so many threads; they must share nothing that they write.
template <typename Function>
void in_parallel(int64_t tasks, int64_t threads, const Function& run) {
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    const FlushDenormals flushed;
    for (int64_t task; (task = next.fetch_add(1)) < tasks;) run(task);
  };
  std::vector<std::thread> others;
  try {
    for (int64_t i = 1; i < std::min(threads, tasks); ++i) others.emplace_back(work);
  } catch (const std::system_error&) {
    // No more threads are to be had: those there are do the work.
  }
  work();
  for (auto& thread : others) thread.join();
}

template <typename T>
class Buffer {  // zeros, aligned for vectors, with room for one to reach past the end
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> owned;
  int64_t length;

 public:
  explicit Buffer(int64_t size) : length(size) {
    const size_t bytes = (size * sizeof(T) / 64 + 2) * 64;
    owned.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (owned == nullptr) throw std::bad_alloc();
    std::memset(owned.get(), 0, bytes);
  }
  int64_t size() const { return length; }
  T* data() const { return owned.get(); }
  T* operator+(int64_t offset) const { return owned.get() + offset; }
  T& operator[](int64_t index) const { return owned.get()[index]; }
};

}  // namespace

#endif
