"""Our statistics against the libraries that have them too: `python tests/benchmarks/statistics_contenders.py`.

Prints how many times slower the library is (least of three), and what each says of a case that a family of tests meets.
"""

import math
import timeit

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from harness.analysis.statistics import detectable_effect, holm, sign_flip_p


def seconds(run, number: int) -> float:
    """Of one call."""
    return min(timeit.repeat(run, number=number, repeat=3)) / number


def main() -> None:
    p = np.linspace(0.001, 0.9, 15).tolist()
    ratio = seconds(lambda: multipletests(p, method="holm"), 5) / seconds(lambda: holm(p), 200)
    print(f"Holm over 15 p: statsmodels {ratio:,.0f} times slower")
    for n in (5, 10, 16):
        d = np.random.default_rng(0).normal(0.3, 1, n)

        def library(d=d):
            flips = {"permutation_type": "samples", "n_resamples": np.inf, "vectorized": True}
            return stats.permutation_test((d,), lambda x, axis: x.mean(axis), **flips)

        ratio = seconds(library, 2) / seconds(lambda d=d: sign_flip_p(d.tolist()), 5)
        both = f"p {library().pvalue:.4f}, ours {sign_flip_p(d.tolist()):.4f}"
        print(f"sign flips of {n} pairs: scipy {ratio:.0f} times slower, {both}")
    n, level = 3, 0.0005
    theirs = TTestPower().solve_power(nobs=n, alpha=level, power=0.8)
    ours = detectable_effect(1.0, n, level)
    print(f"detectable effect, {n} pairs, level {level}: statsmodels {theirs:.1f}, ours {ours:.1f}")
    # The power of either, from the definition: a noncentral t distribution beyond the critical value.
    critical = stats.t.ppf(1 - level / 2, n - 1)
    for name, effect in (("statsmodels'", theirs), ("our", ours)):
        draws = np.random.default_rng(1).normal(effect, 1, (1_000_000, n))
        t = draws.mean(1) / (draws.std(1, ddof=1) / math.sqrt(n))
        print(f"  power at {name} effect, by a million draws: {np.mean(np.abs(t) > critical):.3f}")


if __name__ == "__main__":
    main()
