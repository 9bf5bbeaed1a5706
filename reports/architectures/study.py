"""What is run: architectures and places, in three sizes. Everything that one may want to change stands at the top."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.summary import without_rate
from harness.registry.cells import Cell, cell_from
from harness.registry.study import Design

from ..designs import Plan
from ..page import Question
from ..places import without_transfer

NAME = "architectures"
ARCHITECTURES = (
    "gated-ssm", "ungated-ssm", "mamba", "mamba2", "mamba3", "s4d", "linear-attention", "gated-linear-attention",
    "retnet", "gated-deltanet", "rwkv7", "lstm", "gru", "min-gru", "depthwise-conv", "local-attention",
    "global-attention:positions=rotary", "hybrid", "mean-pool",
)  # fmt: skip
"""All that were here when it was run, each as its paper has it by default; attention over everything with rotary
positions, since without any it is blind to order by construction, which mean-pool stands for."""

STEPS = 300
SEEDS = 5
PROTOCOL = f"standard:steps={STEPS}"

RECALL = "associative-recall:length=16,pairs=2,vocabulary=16"
RECALL_PROTOCOL = f"{PROTOCOL},depth=2,learning_rate=0.01"
"""Two blocks: recall takes a step that brings a key and its value together and one that looks a key up."""

PLACES = (
    ("majority:noise=2", "horizontal", PROTOCOL),
    ("locality:noise=0.3", "horizontal", PROTOCOL),
    ("locality2d", "horizontal", PROTOCOL),
    ("locality2d", "hilbert", PROTOCOL),
    (RECALL, "horizontal", RECALL_PROTOCOL),
    ("textures", "horizontal", PROTOCOL),
)
"""(task, scan, protocol). docs/difficulty.md says how the difficulties were chosen."""

MORE_RECALL = tuple(f"associative-recall:length={8 * n},pairs={n},vocabulary={8 * n}" for n in (4, 8))
WIDTHS = (16, 64)

QUESTIONS = (
    Question("best", "Which architectures differ?", "places", declared=False),
    Question("scan", "Is Hilbert better than rows, and for whom?", "architectures", declared=False),
    Question("state", "Does a larger state remember more?", "not corrected", declared=False),
)

Place = tuple[str, str, str]


def default_plan(seeds: int | None = None) -> Plan:
    """Every architecture in six places, at equal width."""
    return Plan(cells=_cells(PLACES), seeds=seeds or SEEDS)


def quick_plan(seeds: int | None = None) -> Plan:
    """A minute or two, to see that everything works; it decides nothing."""
    short = "standard:steps=20,evaluate_every=5,validation_samples=128,test_samples=256"
    places = [(RECALL, "horizontal", short), *(("locality2d", scan, short) for scan in ("horizontal", "hilbert"))]
    return Plan(cells=_cells(places, ("gated-ssm", "lstm", "mean-pool")), seeds=seeds or 2)


def full_plan(seeds: int | None = None) -> Plan:
    """The default places also at equal parameters and at equal state, three times as long, and more of recall.

    For a GPU: brought to Mamba's state a GRU is 1216 wide.
    """
    longer = [(task, scan, text.replace(f"steps={STEPS}", f"steps={3 * STEPS}")) for task, scan, text in PLACES]
    matched = [
        (task, scan, f"{text},match={match}") for match in ("parameters", "state") for task, scan, text in PLACES
    ]
    recall = [(RECALL, "horizontal", f"{RECALL_PROTOCOL},width={width}") for width in WIDTHS]
    harder = [(task, "horizontal", RECALL_PROTOCOL.replace(f"steps={STEPS}", "steps=3000")) for task in MORE_RECALL]
    return Plan(cells=_cells([*PLACES, *longer, *matched, *recall, *harder]), seeds=seeds or 2 * SEEDS)


PLANS = {"quick": quick_plan, "default": default_plan, "full": full_plan}


def design(size: str, seeds: int | None) -> Design:
    """The stages of a size."""
    return PLANS[size](seeds).design()


def describe(size: str) -> list[str]:
    """What a size runs."""
    return PLANS[size]().text


def _cells(places: Sequence[Place], architectures: Sequence[str] = ARCHITECTURES) -> tuple[Cell, ...]:
    """Place by place."""
    cells = [
        cell_from(task, architecture, scan, protocol)
        for task, scan, protocol in places
        for architecture in architectures
    ]
    return tuple(dict.fromkeys(cells))


def listed() -> list[tuple[str, str, str]]:
    """Task, scan and protocol without its rate of the default study's places, in their order."""
    cells = [cell_from(task, ARCHITECTURES[0], scan, protocol) for task, scan, protocol in PLACES]
    return [(cell.task, cell.scan, without_transfer(without_rate(cell.protocol))) for cell in cells]
