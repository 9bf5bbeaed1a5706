"""Ways to decide seed by seed, on what differences look like: `python tests/benchmarks/sequential_contenders.py`.

Prints the table of docs/decide.md and draws its figure, docs/decide.png. Two minutes on one core.
"""

import argparse
import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from harness.analysis.sequential import decisions

MARGIN, LEVEL, MOST, STUDIES = 0.01, 0.05, 64, 4000
FIRST_LOOK = 5
"""Of the methods that take a variance: before it they say nothing."""

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def of_values(values: list[float], shares: list[float], noise: float = 0.0) -> Draw:
    """Differences that take a few values, with noise."""
    return lambda draw, shape: draw.choice(values, size=shape, p=shares) + draw.normal(0, noise, shape)


# name: (what is true, how differences are drawn). A mean at the margin must not be called equivalent.
SCENARIOS: dict[str, tuple[str, Draw]] = {
    "at chance, spread .014": ("none", of_values([0.0], [1.0], 0.014)),
    "tied at the ceiling": ("none", of_values([-0.0005, 0.0, 0.0005], [0.1, 0.8, 0.1])),
    "take-off of either, .4": ("none", of_values([-0.4, 0.0, 0.4], [0.25, 0.5, 0.25], 0.01)),
    "take-off of just one, .4": ("none", of_values([-0.4, 0.4], [0.5, 0.5], 0.01)),
    "rare take-off of either, .4": ("none", of_values([-0.4, 0.0, 0.4], [0.05, 0.9, 0.05], 0.01)),
    "spread .1": ("none", of_values([0.0], [1.0], 0.1)),
    "skewed: +.4 in 5%, else -.021": ("skewed", of_values([0.4, -0.4 / 19], [0.05, 0.95], 0.002)),
    "at the margin, spread .014": ("margin", of_values([0.01], [1.0], 0.014)),
    "at the margin, spread .001": ("margin", of_values([0.01], [1.0], 0.001)),
    "at the margin, take-offs": ("margin", of_values([-0.39, 0.01, 0.41], [0.05, 0.9, 0.05], 0.002)),
    "rare jump: +.4 in 2.5%, else 0": ("jump", of_values([0.4, 0.0], [0.025, 0.975])),
    "always .03, spread .014": ("better", of_values([0.03], [1.0], 0.014)),
    "always .01, spread .002": ("better", of_values([0.01], [1.0], 0.002)),
    ".4 in half of the seeds": ("better", of_values([0.4, 0.0], [0.5, 0.5], 0.01)),
    ".4 in 9 of 10": ("better", of_values([0.4, 0.0], [0.9, 0.1], 0.01)),
    ".2 with spread .2": ("better", of_values([0.2], [1.0], 0.2)),
    "half its spread (.05 of .1)": ("better", of_values([0.05], [1.0], 0.1)),
}


def running(d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seeds so far, mean and standard error after every seed."""
    n = np.arange(1, d.shape[-1] + 1)
    mean = d.cumsum(-1) / n
    variance = np.maximum((d**2).cumsum(-1) - n * mean**2, 0) / np.maximum(n - 1, 1)
    return n, mean, np.sqrt(np.where(variance < 1e-15, 0, variance) / n)


def t_decisions(d: np.ndarray, *, level: float, looks: np.ndarray) -> np.ndarray:
    """A t interval at the looks: 0 outside it, or all of it (at twice the level) inside the margin."""
    n, mean, error = running(d)
    wide = stats.t.isf(level / 2, np.maximum(n - 1, 1)) * error
    narrow = stats.t.isf(level, np.maximum(n - 1, 1)) * error
    inside = np.abs(mean) + narrow < MARGIN
    apart = np.where(np.abs(mean) > wide, np.sign(mean), 0)
    return np.where(looks, np.where(inside, 2, apart), 0)


def at(n: int) -> np.ndarray:
    """One look, after n seeds."""
    return np.arange(1, MOST + 1) == n


@functools.cache
def group_level() -> float:
    """The level of each look that makes those after every seed from the fifth on wrong together with `LEVEL`, for
    normal differences: Pocock's constant boundary.
    """
    d = np.random.Generator(np.random.Philox(key=1)).normal(size=(40_000, MOST))
    n, mean, error = running(d)
    n, mean, error = (each[..., FIRST_LOOK - 1 :] for each in (n, mean, error))
    p = 2 * stats.t.sf(np.abs(mean) / error, n - 1)
    return float(np.quantile(p.min(-1), LEVEL))


def betting_decisions(d: np.ndarray) -> np.ndarray:
    """The hedged betting confidence sequence for means of [0, 1] of arXiv 2010.09686, written from memory: predictable
    plug-in bets, truncated at half of what would be ruin.
    """
    x = (d + 1) / 2
    n = np.arange(1, x.shape[-1] + 1)
    means = (0.5 + x.cumsum(-1)) / (n + 1)
    variances = (0.25 + ((x - means) ** 2).cumsum(-1)) / (n + 1)
    before = np.concatenate([np.full((len(x), 1), 0.25), variances[:, :-1]], axis=1)
    bet = np.sqrt(2 * math.log(2 / LEVEL) / (before * n * np.log1p(n)))

    def ever(centre: float, side: int) -> np.ndarray:
        m = (centre + 1) / 2
        most = 0.5 / (m if side > 0 else 1 - m)
        steps = np.log1p(side * np.minimum(bet, most) * (x - m))
        return np.maximum.accumulate(steps.cumsum(-1), axis=-1) >= math.log(2 / LEVEL)

    inside = ever(-MARGIN, 1) & ever(MARGIN, -1)
    return np.where(inside, 2, np.where(ever(0, 1), 1, np.where(ever(0, -1), -1, 0)))


EVERY = np.arange(1, MOST + 1) >= FIRST_LOOK
METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ours": lambda d: decisions(d, margin=MARGIN, level=LEVEL),
    "group t": lambda d: t_decisions(d, level=group_level(), looks=EVERY),
    "betting": betting_decisions,
    "t, every look": lambda d: t_decisions(d, level=LEVEL, looks=EVERY),
    "t at 10": lambda d: t_decisions(d, level=LEVEL, looks=at(10)),
    "t at 64": lambda d: t_decisions(d, level=LEVEL, looks=at(64)),
}


def ends(looks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each study the decision, and after how many seeds it came."""
    when = (looks != 0).argmax(-1)
    found = np.take_along_axis(looks, when[:, None], axis=-1)[:, 0]
    return found, np.where(found != 0, when + 1, MOST)


def simulate(studies: int) -> dict[tuple[str, str], dict[str, float]]:
    """Shares of decisions and median seeds, by scenario and method."""
    table = {}
    for number, (name, (_, draw)) in enumerate(SCENARIOS.items()):
        d = draw(np.random.Generator(np.random.Philox(key=[2, number])), (studies, MOST))
        d = np.clip(d, -1, 1)
        for method, decide in METHODS.items():
            found, seeds = ends(decide(d))
            table[name, method] = {
                "better": float(np.mean(found == 1)),
                "worse": float(np.mean(found == -1)),
                "equivalent": float(np.mean(found == 2)),
                "seeds": float(np.median(seeds)),
            }
    return table


def wrong(truth: str, row: dict[str, float]) -> float:
    """The share of studies that say what is not so."""
    if truth in ("none", "skewed"):
        return row["better"] + row["worse"]
    return row["worse"] + (row["equivalent"] if truth in ("margin", "jump") else 0.0)


def right(truth: str, row: dict[str, float]) -> float:
    """The share of studies that say what is so."""
    return row["equivalent"] if truth in ("none", "skewed") else row["better"]


def markdown(table: dict[tuple[str, str], dict[str, float]]) -> str:
    """Wrong / right / median seeds of every method."""
    lines = ["| differences | " + " | ".join(METHODS) + " |", "| --- |" + " --- |" * len(METHODS)]
    for name, (truth, _) in SCENARIOS.items():
        cells = []
        for method in METHODS:
            row = table[name, method]
            cells.append(f"{wrong(truth, row):.3f} / {right(truth, row):.2f} / {row['seeds']:.0f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_figure(table: dict[tuple[str, str], dict[str, float]], path: Path) -> None:
    """Wrong decisions, right ones and seeds, a line a scenario."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 5.5), sharey=True, layout="constrained")
    names = list(SCENARIOS)[::-1]
    markers = dict(zip(METHODS, "os^Dv*", strict=True))
    for number, method in enumerate(METHODS):
        y = np.arange(len(names)) + (2.5 - number) * 0.11
        rows = [(SCENARIOS[name][0], table[name, method]) for name in names]
        values = ([wrong(*row) for row in rows], [right(*row) for row in rows], [row["seeds"] for _, row in rows])
        for axis, x in zip(axes, values, strict=True):
            axis.plot(x, y, markers[method], label=method, markersize=5)
    axes[0].axvline(LEVEL, color="black", linewidth=0.8)
    axes[0].set(yticks=range(len(names)), yticklabels=names, xlabel="wrong decisions")
    axes[0].set_xscale("symlog", linthresh=0.05)
    axes[0].set_xticks([0, 0.05, 0.2, 0.5, 1], ["0", ".05", ".2", ".5", "1"])
    axes[1].set(xlabel="right decisions")
    axes[2].set(xlabel="median seeds (64: half are undecided, or fixed)")
    for axis in axes:
        axis.grid(axis="y", color="0.92")
        axis.set_axisbelow(True)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(METHODS), frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--figure", type=Path, default=Path(__file__).parents[2] / "docs" / "decide.png")
    options = parser.parse_args()
    table = simulate(options.studies)
    print(f"{options.studies} studies of at most {MOST} seeds, margin {MARGIN}, level {LEVEL}")
    print(f"group t: each look at {group_level():.4f}")
    print(f"standard error of a share at the level: {math.sqrt(LEVEL * (1 - LEVEL) / options.studies):.4f}")
    print(markdown(table))
    draw_figure(table, options.figure)


if __name__ == "__main__":
    main()
