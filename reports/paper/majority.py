"""Majority voting: figures 1, 2 and 5."""

from __future__ import annotations

from functools import partial
from typing import Any

from .drawing import plot_steps, plot_trajectories
from .evidence import Values, above, exceeds, last, lies, trend
from .experiment import FROZEN_GATED, Experiment, Point, point

GAPS = (4, 6, 8, 10, 12)
"""Tokens by which o_+ outnumber o_- (or the other way round), of 30; 18 tokens are one of the two."""

SAMPLES = (50, 100, 400)
BUDGET = 2000


def majority(
    *, gap: int = 6, samples: int = 400, dim: int = 32, length: int = 30, rate: float = 1.0,
    architecture: str = FROZEN_GATED, noise: str = "noise=0.01", protocol: str = "", budget: int = BUDGET,
    facts: dict[str, Any],
) -> Point:  # fmt: skip
    """A majority point: of `length` tokens .6 carry a class pattern, `gap` (of 30) more carry the label's."""
    voters, ahead = round(0.6 * length), round(gap * length / 30)
    relevant, confusing = (voters + ahead) / 2 / length, (voters - ahead) / 2 / length
    task = f"majority:length={length},relevant={relevant:.6f},confusing={confusing:.6f},dim={dim},{noise}"
    settings = f"samples={samples},steps={budget},learning_rate={rate},test_samples=1000{protocol}"
    return point(task, architecture, f"paper:{settings}", **facts)


SETTING = (
    "L=30, 18 class tokens, d=32, tau=.01, xi=.01, W_B=W_C=I, balanced v, eta=1 for W_O and w_D, constant; all ours"
    " but d, m=50 and the descent"
)


GAP_POINTS = [majority(gap=gap, samples=n, facts={"gap": round(gap / 30, 3), "N": n}) for n in SAMPLES for gap in GAPS]
"""Every gap at every number of training sequences."""

(DIRECTIONS,) = (p for p in GAP_POINTS if p.get("N") == 400 and p.get("gap") == 0.2)
"""Where the gate and the hidden rows are looked at."""

GATE_COLUMNS = {
    "cos(w_D, o_+)": "gate_cosine_plus",
    "cos(w_D, o_-)": "gate_cosine_minus",
    "cos(w_D, irrelevant)": "gate_cosine_irrelevant",
    "w_D.irrelevant": "gate_input_irrelevant",
}

HIDDEN_COLUMNS = {
    f"cos(rows {sign}, {pattern})": f"hidden_{name}_{role}"
    for sign, name in (("v > 0", "positive"), ("v < 0", "negative"))
    for pattern, role in (("o_+", "plus"), ("o_-", "minus"), ("irrelevant", "irrelevant"))
}


def _rows(sign: str, role: str) -> Values:
    return last(DIRECTIONS, f"hidden_{sign}_{role}")


EXPERIMENTS = [
    Experiment(
        id="fig1",
        title="Majority: epochs to converge against the gap",
        claim="A larger gap between relevant and confusing tokens takes fewer epochs, at every N.",
        setting=SETTING,
        points=GAP_POINTS,
        checks=[
            trend(
                [p for p in GAP_POINTS if p.get("N") == n], "gap", f"N={n}: a larger gap takes fewer epochs", falls=True
            )
            for n in SAMPLES
        ],
        draw=partial(plot_steps, x="gap", line="N"),
    ),
    Experiment(
        id="fig2",
        title="Majority: the gate turns towards the class patterns",
        claim="The gate learns to keep the class patterns: cosine(w_D, o_+) and cosine(w_D, o_-) rise, cosines with"
        " irrelevant patterns stay flat (Lemma 4.1).",
        setting=SETTING + "; gap .2, N=400",
        points=[DIRECTIONS],
        checks=[
            above(last(DIRECTIONS, "gate_cosine_plus"), 0.3, "cosine(w_D, o_+) ends above .3", blind=True),
            above(last(DIRECTIONS, "gate_cosine_minus"), 0.3, "cosine(w_D, o_-) ends above .3", blind=True),
            lies(
                last(DIRECTIONS, "gate_cosine_irrelevant"),
                "the mean cosine with irrelevant patterns stays within .1 of 0", above=-0.1, below=0.1, blind=True,
            ),
        ],
        trajectories=GATE_COLUMNS,
        draw=partial(plot_trajectories, names=tuple(GATE_COLUMNS.values())[:3]),
    ),
    Experiment(
        id="fig5",
        title="Majority: rows of W_O align with the pattern of their sign",
        claim="Rows of W_O with v > 0 align with o_+, rows with v < 0 with o_- (lucky neurons).",
        setting=SETTING + "; gap .2, N=400; the mean is over all rows of a sign, lucky or not",
        points=[DIRECTIONS],
        checks=[
            exceeds(
                _rows("positive", "plus"), _rows("positive", "minus"),
                "rows with v > 0 lie closer to o_+ than to o_-, by .1 or more", by=0.1, blind=True,
            ),
            exceeds(
                _rows("negative", "minus"), _rows("negative", "plus"),
                "rows with v < 0 lie closer to o_- than to o_+, by .1 or more", by=0.1, blind=True,
            ),
            lies(
                lambda results: [v for s in ("positive", "negative") for v in _rows(s, "irrelevant")(results)],
                "their mean cosine with irrelevant patterns stays within .1 of 0", above=-0.1, below=0.1, blind=True,
            ),
        ],
        trajectories=HIDDEN_COLUMNS,
        draw=partial(plot_trajectories, names=tuple(HIDDEN_COLUMNS.values())),
    ),
]  # fmt: skip
