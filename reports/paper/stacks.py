"""Table 3: where hidden rows and gates point in stacks of real Mamba blocks."""

from __future__ import annotations

from .drawing import plot_trajectories
from .evidence import exceeds, lies
from .experiment import Check, Experiment, Point, Results, Table, interval_text, point

TASKS = {
    "majority": "majority:length=10,relevant=0.4,confusing=0.2,noise=0.01",
    "locality": "locality:length=12,near=3,far=6,placement=matched,noise=0.001",
}
DEPTHS = (1, 2, 5)
REPORTED = {5: (0.73, 0.53)}
"""Blocks -> the paper's cosines of W_O and of w_D with class features; quoted, not reproduced."""


def stack(data: str, depth: int) -> Point:
    """So many Mamba blocks on a kind of data."""
    settings = "population=true,samples=50,steps=100,learning_rate=10,mixer_rate=30,mixer_step=0.1,schedule=loss"
    protocol = f"paper:depth={depth},{settings},evaluate_every=20,test_samples=500"
    return point(TASKS[data], "mamba", protocol, data=data, blocks=depth)


def _points(_: Results | None = None) -> list[Point]:
    return [stack(data, depth) for data in TASKS for depth in DEPTHS]


def first(results: Results, p: Point, name: str) -> list[float]:
    """A recorded trajectory's value before training, trial by trial."""
    return [record["curve"][name][0] for record in results.done(p) if name in record["curve"]]


def own_pattern(results: Results, p: Point) -> list[float]:
    """Mean cosine of the rows of W_O with the pattern of their sign: v > 0 with o_+, v < 0 with o_-."""
    pairs = zip(results.last(p, "hidden_positive_plus"), results.last(p, "hidden_negative_minus"), strict=True)
    return [(positive + negative) / 2 for positive, negative in pairs]


def irrelevant_patterns(results: Results, p: Point) -> list[float]:
    """Their mean cosine with irrelevant patterns."""
    names = ("hidden_positive_irrelevant", "hidden_negative_irrelevant")
    pairs = zip(*(results.last(p, name) for name in names), strict=True)
    return [(positive + negative) / 2 for positive, negative in pairs]


def _judge(results: Results) -> list[Check]:
    """Of the stacks that the paper speaks of; one block stands in the table."""
    checks = []
    for p in _points():
        if p.get("blocks") == 1:
            continue
        where = f"{p.get('data')}, {p.get('blocks')} blocks: "
        own, other = own_pattern(results, p), irrelevant_patterns(results, p)
        gate = results.last(p, "gate_alignment_relevant")
        checks += [
            exceeds(own, other, where + "W_O lies closer to the pattern of its sign than to irrelevant ones"),
            lies(other, where + "W_O's mean cosine with irrelevant patterns is within .1 of 0", above=-0.1, below=0.1),
            exceeds(
                gate,
                first(results, p, "gate_alignment_relevant"),
                where + "gate directions end closer to class patterns than they started",
            ),
            exceeds(
                gate,
                results.last(p, "gate_alignment_irrelevant"),
                where + "gate directions end closer to class patterns than to irrelevant ones",
            ),
        ]
    return checks


def _table(results: Results) -> Table:
    """Signed cosines as the paper averages them (we suppose), and root mean squares, which signs cannot cancel."""
    rows = []
    for p in results.known(_points()):
        hidden, gate = REPORTED.get(p.get("blocks"), (None, None))
        rows.append(
            {
                **{name: str(value) for name, value in p.facts},
                "trials": str(len(results.of(p))),
                "test accuracy": interval_text(results.values(p, "test_accuracy")),
                "W_O, pattern of its sign": interval_text(own_pattern(results, p), digits=2),
                "W_O, irrelevant": interval_text(irrelevant_patterns(results, p), digits=2),
                "W_O, paper (reported)": "" if hidden is None else f"{hidden:.2f}",
                "gate, o_+": interval_text(results.last(p, "gate_cosine_plus"), digits=2),
                "gate, o_-": interval_text(results.last(p, "gate_cosine_minus"), digits=2),
                "gate, paper's w_D (reported)": "" if gate is None else f"{gate:.2f}",
                "gate, class patterns, rms": interval_text(results.last(p, "gate_alignment_relevant"), digits=2),
                "at the start": interval_text(first(results, p, "gate_alignment_relevant"), digits=2),
                "gate, irrelevant, rms": interval_text(results.last(p, "gate_alignment_irrelevant"), digits=2),
            }
        )
    return rows


TRAJECTORIES = (
    "hidden_alignment_relevant",
    "hidden_alignment_irrelevant",
    "gate_alignment_relevant",
    "gate_alignment_irrelevant",
)


EXPERIMENTS = [
    Experiment(
        id="table3",
        title="Stacks of Mamba blocks: alignment with class patterns",
        claim=(
            "In stacks of 2 and 5 Mamba blocks W_O and w_D align with class features (.73 and .53 at 5 blocks, as"
            " reported), and irrelevant ones are near 0."
        ),
        setting=(
            "mamba-ssm's block, state 16; several are residual, each behind an RMS norm. Majority: L=10, gap .2,"
            " tau=.01. Locality: L=12, near 3, far 6, placement=matched, tau=.001. d=32, xi=.01, balanced v, 50 fresh"
            " sequences a step, 100 epochs, eta=10 for W_O, not tuned; all blocks together move along their gradient"
            " by at most .1 times the loss. The part of w_D is played by the rows of dt_proj . x_proj . in_proj of the"
            " first block (rank 2, 64 rows, the convolution left out). rms: root mean square of the cosines of all"
            " rows; a random direction has .18 with either kind of pattern. All ours but d, m=50 and the descent"
        ),
        points=_points,
        judge=_judge,
        table=_table,
        draw=lambda results, figure: plot_trajectories(results, figure, _points(), TRAJECTORIES),
    ),
]
