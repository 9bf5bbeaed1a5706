// How many vector operations a second one core does: fused multiply-adds that wait for nothing, all in registers.

#include "simd.h"

namespace {
// As many sums as keep two units busy that take four or five steps each; with the two factors they fit 16 registers.
constexpr int SUMS = 12;
}  // namespace

extern "C" {
int64_t vector_floats() { return WIDTH<float>; }

// Does SUMS * rounds operations; returns something that depends on all of them, so that none can be left out.
double multiply_add(int64_t rounds) {
  Vector<float> sums[SUMS], factor = {}, added = {};
  factor += 0.999f, added += 1e-3f;
  for (int i = 0; i < SUMS; ++i) sums[i] = added * float(i);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; ++i) sums[i] = sums[i] * factor + added;
  }
  double total = 0;
  for (int i = 0; i < SUMS; ++i)
    for (int lane = 0; lane < WIDTH<float>; ++lane) total += sums[i][lane];
  return total;
}

int64_t operations_a_round() { return SUMS; }
}
