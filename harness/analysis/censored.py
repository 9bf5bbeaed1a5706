"""Steps to an end point, when some runs never reached it: medians and power laws that do not average that away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats


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
    """An exponent of a power law with its interval, 95% unless another level was asked for."""

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

    def at(self, **factors: float) -> float:
        """The median that the law gives."""
        return self.scale * math.prod(x ** self.exponents[name].value for name, x in factors.items())


@dataclass(frozen=True, kw_only=True)
class LackOfFit:
    """Whether one exponent a factor is enough: the law against a median of its own for every point.

    p: of the likelihood ratio, chi-squared with `freedom` degrees. worst: the factor, above 1, by which the law misses
    the point that it misses most.
    """

    p: float
    freedom: int
    worst: float


Steps = Sequence[float | None]


def fit_power_law(
    factors: Mapping[str, Sequence[float]],
    steps: Steps,
    budgets: Sequence[float],
    *,
    before: Sequence[float] | None = None,
    level: float = 0.95,
) -> PowerLaw:
    """Log-normal regression of steps on the logarithms of factors, right-censored at each run's budget.

    Maximum likelihood in Olsen's (1978) parameters, in which it is concave; intervals from the observed information,
    with Student's t at n - parameters degrees of freedom.

    Args:
        factors: positive values by name, one a run. steps: None for a run that had not arrived after its budget.
        before: the last step at which a run that arrived was seen not to have: it arrived somewhere after that and no
            later than `steps`. Without it the steps are taken as exact.

    Raises:
        ValueError: fewer runs that arrived than parameters, or a factor that does not vary.
    """
    names = list(factors)
    x = np.column_stack([np.ones(len(steps)), *(np.log(np.asarray(factors[name], dtype=float)) for name in names)])
    arrived = np.array([value is not None for value in steps])
    if arrived.sum() <= x.shape[1]:
        raise ValueError(f"{int(arrived.sum())} runs arrived, too few to fit {x.shape[1]} parameters")
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError("a factor does not vary, or two vary together")
    fitted = _Regression(x, *_bounds(steps, budgets, before))
    error = np.sqrt(np.clip(np.diag(np.linalg.pinv(fitted.information())), 0, None))
    reach = float(stats.t.ppf((1 + level) / 2, max(1, len(x) - x.shape[1] - 1)))
    exponents = {
        name: Exponent(value=float(b), low=float(b - reach * e), high=float(b + reach * e))
        for name, b, e in zip(names, fitted.coefficients[1:], error[1:], strict=False)
    }
    return PowerLaw(
        exponents=exponents,
        scale=math.exp(fitted.coefficients[0]),
        sigma=fitted.sigma,
        n=len(x),
        censored=int((~arrived).sum()),
    )


def lack_of_fit(
    factors: Mapping[str, Sequence[float]],
    steps: Steps,
    budgets: Sequence[float],
    *,
    before: Sequence[float] | None = None,
) -> LackOfFit:
    """Likelihood ratio of the power law against a free median for every distinct setting of the factors.

    Settings at which no run arrived say nothing of their median and are left out of both.

    Raises:
        ValueError: no more settings than the law has parameters.
    """
    table = np.column_stack([np.log(np.asarray(values, dtype=float)) for values in factors.values()])
    _, group = np.unique(table, axis=0, return_inverse=True)
    group = group.reshape(-1)
    arrived = np.array([value is not None for value in steps])
    kept = np.isin(group, group[arrived])
    low, high = (bound[kept] for bound in _bounds(steps, budgets, before))
    x = np.column_stack([np.ones(int(kept.sum())), table[kept]])
    _, group = np.unique(group[kept], return_inverse=True)
    free = np.eye(group.max() + 1)[group]
    freedom = free.shape[1] - x.shape[1]
    if freedom < 1:
        raise ValueError(f"{free.shape[1]} settings leave nothing to test {x.shape[1]} parameters with")
    line, points = _Regression(x, low, high), _Regression(free, low, high)
    ratio = 2 * max(0.0, points.log_likelihood - line.log_likelihood)
    misses = np.abs(free @ points.coefficients - x @ line.coefficients)
    return LackOfFit(p=float(stats.chi2.sf(ratio, freedom)), freedom=freedom, worst=float(np.exp(misses.max())))


def _bounds(steps: Steps, budgets: Sequence[float], before: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms between which each run arrived: equal where that is exact, up to infinity where it did not arrive."""
    high = [math.inf if s is None else max(s, 1) for s in steps]
    known = high if before is None else [max(b, 0.5) for b in before]
    low = [budget if s is None else b for s, b, budget in zip(steps, known, budgets, strict=True)]
    return np.log(low), np.log(high)


class _Regression:
    """Maximum likelihood of log T = x . coefficients + sigma * normal, each T known to lie between two bounds."""

    def __init__(self, x: np.ndarray, low: np.ndarray, high: np.ndarray):
        self._x, self._low, self._high = x, low, high
        self._exact = high <= low
        self._within = ~self._exact
        middle = np.where(np.isinf(high), low, (low + np.where(np.isinf(high), low, high)) / 2)
        # Scaled by the spread of a first guess, the optimizer sees numbers near 1.
        guess, *_ = np.linalg.lstsq(x, middle, rcond=None)
        spread = max(float(np.std(middle - x @ guess)), 1e-3)
        start = np.append(guess / spread, -math.log(spread))
        found = optimize.minimize(self._loss, start, jac=True, method="BFGS", options={"gtol": 1e-6, "maxiter": 5000})
        self.sigma = math.exp(-found.x[-1])
        self.coefficients = found.x[:-1] * self.sigma
        self.log_likelihood = -float(found.fun)

    def _loss(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log-likelihood and its gradient at Olsen's parameters, the last as its logarithm."""
        theta, mean = math.exp(min(parameters[-1], 50.0)), self._x @ parameters[:-1]
        low, high = theta * self._low - mean, theta * self._high - mean
        exact, within = self._exact, self._within
        seen = exact.sum() * parameters[-1] + stats.norm.logpdf(low[exact]).sum()
        chance = _log_between(low[within], high[within])
        # d/d(low) and d/d(high) of each run's term
        by_low, by_high = np.zeros_like(low), np.zeros_like(low)
        by_low[exact] = -low[exact]
        by_low[within] = -np.exp(stats.norm.logpdf(low[within]) - chance)
        by_high[within] = np.exp(stats.norm.logpdf(high[within]) - chance)
        by_scale = by_low @ (theta * self._low) + by_high @ np.where(np.isinf(high), 0, theta * self._high)
        gradient = np.append((by_low + by_high) @ -self._x, by_scale + exact.sum())
        return -float(seen + chance.sum()), -gradient

    def information(self) -> np.ndarray:
        """Observed information at the coefficients and log(1 / sigma), by central differences of the gradient."""

        def gradient(point: np.ndarray) -> np.ndarray:
            theta = math.exp(point[-1])
            _, inner = self._loss(np.append(point[:-1] * theta, point[-1]))
            return np.append(inner[:-1] * theta, inner[-1] + inner[:-1] @ point[:-1] * theta)

        point = np.append(self.coefficients, -math.log(self.sigma))
        steps = np.diag(1e-5 * np.maximum(1.0, np.abs(point)))
        rows = np.stack([(gradient(point + h) - gradient(point - h)) / (2 * h.max()) for h in steps])
        return (rows + rows.T) / 2


def _log_between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """log(Phi(high) - Phi(low)); from the upper tail where both lie there."""
    flip = low > 0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    upper, lower = special.log_ndtr(b), special.log_ndtr(a)
    return upper + np.log1p(-np.exp(np.minimum(lower - upper, -1e-300)))
