"""Steps to an end point, when some runs never reached it: medians and power laws that do not average that away."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats


@dataclass(frozen=True, kw_only=True)
class Median:
    """Median steps, inf where half the runs or more did not get there, with a distribution-free 95% interval.

    n: runs. reached: how many reached the end point. mean_reached: mean over those alone, as papers report it.
    """

    value: float
    low: float
    high: float
    n: int
    reached: int
    mean_reached: float | None


def censored_median(steps: Sequence[float | None]) -> Median:
    """Median of steps with None for a run that did not get there.

    The interval runs between order statistics whose binomial coverage is at least 95%; below six runs no pair of them
    has it, and it is (smallest, inf) then, of one-sided coverage 1 - 2^-n.
    """
    n = len(steps)
    ordered = sorted(math.inf if value is None else float(value) for value in steps)
    reached = [value for value in ordered if math.isfinite(value)]
    if not n:
        return Median(value=math.nan, low=math.nan, high=math.nan, n=0, reached=0, mean_reached=None)
    rank = int(stats.binom.ppf(0.025, n, 0.5))  # P(fewer than `rank` of n lie below the median) <= 2.5%
    low, high = (ordered[rank - 1], ordered[n - rank]) if rank >= 1 else (ordered[0], math.inf)
    middle = ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2
    mean = float(np.mean(reached)) if reached else None
    return Median(value=middle, low=low, high=high, n=n, reached=len(reached), mean_reached=mean)


@dataclass(frozen=True, kw_only=True)
class Exponent:
    """An exponent of a power law with its 95% interval."""

    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the interval covers `value`."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """T = scale * prod_k x_k^exponent_k * exp(sigma * normal). n runs, `censored` of them beyond their budget."""

    exponents: dict[str, Exponent]
    scale: float
    sigma: float
    n: int
    censored: int


def fit_power_law(
    factors: dict[str, Sequence[float]], steps: Sequence[float | None], budgets: Sequence[float]
) -> PowerLaw:
    """Log-normal regression of steps on the logarithms of factors, right-censored at each run's budget.

    Maximum likelihood in Olsen's (1978) parameters, in which it is concave; intervals from the observed information,
    with Student's t at n - parameters degrees of freedom.

    Args:
        factors: positive values by name, one a run. steps: None for a run that had not arrived after its budget.

    Raises:
        ValueError: fewer runs that arrived than parameters, or a factor that does not vary.
    """
    names = list(factors)
    x = np.column_stack([np.ones(len(steps)), *(np.log(np.asarray(factors[name], dtype=float)) for name in names)])
    arrived = np.array([value is not None for value in steps])
    y = np.log([budget if value is None else max(value, 1) for value, budget in zip(steps, budgets, strict=True)])
    if arrived.sum() <= x.shape[1]:
        raise ValueError(f"{int(arrived.sum())} runs arrived, too few to fit {x.shape[1]} parameters")
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError("a factor does not vary, or two vary together")
    # Scaled by the spread of a first guess, the optimizer sees numbers near 1.
    guess, *_ = np.linalg.lstsq(x, y, rcond=None)
    spread = max(float(np.std(y - x @ guess)), 1e-3)

    def negative_log_likelihood(parameters: np.ndarray) -> float:
        theta, slope = np.exp(parameters[-1]), parameters[:-1]
        residual = theta * y - x @ slope
        seen = math.log(theta) * arrived.sum() + stats.norm.logpdf(residual[arrived]).sum()
        return -(seen + stats.norm.logsf(residual[~arrived]).sum())

    start = np.append(guess / spread, -math.log(spread))
    found = optimize.minimize(negative_log_likelihood, start, method="BFGS", options={"gtol": 1e-6, "maxiter": 2000})
    sigma = math.exp(-found.x[-1])
    coefficients = found.x[:-1] * sigma
    point = np.append(coefficients, found.x[-1])
    information = _hessian(lambda p: negative_log_likelihood(np.append(p[:-1] * np.exp(p[-1]), p[-1])), point)
    error = np.sqrt(np.clip(np.diag(np.linalg.pinv(information)), 0, None))[:-1]
    reach = float(stats.t.ppf(0.975, max(1, len(y) - x.shape[1] - 1)))
    exponents = {
        name: Exponent(value=float(b), low=float(b - reach * e), high=float(b + reach * e))
        for name, b, e in zip(names, coefficients[1:], error[1:], strict=True)
    }
    return PowerLaw(
        exponents=exponents, scale=math.exp(coefficients[0]), sigma=sigma, n=len(y), censored=int((~arrived).sum())
    )


def _hessian(function, point: np.ndarray) -> np.ndarray:
    """Second derivatives by central differences."""
    step = 1e-4 * np.maximum(1.0, np.abs(point))
    hessian = np.empty((len(point), len(point)))
    for i, j in itertools.combinations_with_replacement(range(len(point)), 2):
        a, b = np.diag(step)[[i, j]]
        four = function(point + a + b) - function(point + a - b) - function(point - a + b) + function(point - a - b)
        hessian[i, j] = hessian[j, i] = four / (4 * step[i] * step[j])
    return hessian
