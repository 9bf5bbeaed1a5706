// Vectors of the widest instructions at hand, and what every C++ kernel here needs of them.
//
// A kernel is one translation unit, so all of this is its own: nothing is shared between libraries in one process.

#ifndef HARNESS_SIMD_H
#define HARNESS_SIMD_H

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
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

// The first `terms` of a power series, at least one.
template <int terms, typename V, typename T>
INLINE V polynomial(V x, const T* coefficients) {
  V sum = all<T>(coefficients[terms - 1]);
#pragma GCC unroll 16
  for (int i = terms - 2; i >= 0; --i) sum = sum * x + coefficients[i];
  return sum;
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

template <typename T>
class Buffer {  // zeros, aligned for vectors, with room for one to reach past the end
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> owned;

 public:
  explicit Buffer(int64_t size) {
    const size_t bytes = (size * sizeof(T) / 64 + 2) * 64;
    owned.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (owned == nullptr) throw std::bad_alloc();
    std::memset(owned.get(), 0, bytes);
  }
  T* operator+(int64_t offset) const { return owned.get() + offset; }
  T& operator[](int64_t index) const { return owned.get()[index]; }
};

}  // namespace

#endif
