"""What is run: axes, cells, seeds, in three sizes. Everything that one may want to change stands at the top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.contracts import Grid
from harness.contracts.errors import Unsupported, UserError
from harness.registry import scans, tasks
from harness.registry.cells import Cell, cell_from, parse_task
from harness.registry.routing import scan_from
from harness.registry.study import Design

from ..designs import Plan
from ..page import Question

NAME = "scan-orders"
TASKS = ("locality2d", "textures", "histology", "digits")
ARCHITECTURES = ("gated-ssm", "mamba", "local-attention", "global-attention:positions=2d")
ORDERS = ("horizontal", "snake", "hilbert", "morton", "spiral", "random")
STEPS = 300
"""Of training, whatever the cell: with these the default study takes less than two hours on two cores."""

SEEDS = 5
"""Of every cell; blocks of Friedman's test."""

PRIMARY_SEEDS = 10
"""Of a cell of the declared primary pair: with fewer, 16 comparisons by sign flips cannot come out significant."""

TRANSFER = " ".join(ORDERS)
"""Orders by which every trained model with one route also reads the test set; "" for none."""

NOISE_FACTORS = (0.5, 1.0, 2.0)
"""Difficulties of a synthetic task in the full study: factors on its default noise."""

WITHOUT_CONVOLUTION = "mamba:conv=1"
"""One tap mixes no neighbours: Mamba's block without its depthwise convolution, but for a factor for each channel."""

MORE_ARCHITECTURES = ("lstm", "global-attention", WITHOUT_CONVOLUTION)
SYNTHETIC = ("locality2d",)
SEQUENCES = ("locality", "majority")
"""Tasks of one row, where all orders but the random one are the same."""

QUESTIONS = (
    Question("primary", "Is Hilbert better than rows?", "every task and architecture", declared=True),
    Question("orders", "Which orders differ?", "every task and architecture", declared=False),
    Question("theory", "Does what is left of a blob's trace predict the order?", "architectures", declared=True),
    Question("transfer", "Does what was learned along one order hold along another?", "none", declared=False),
    Question("compute", "Are several routes worth their compute?", "not corrected", declared=False),
)


def protocol(*, steps: int = STEPS, readout: str = "mean", transfer: str = "", more: str = "") -> str:
    """The standard protocol as the study uses it."""
    read = f',transfer="{transfer}"' if transfer else ""
    return f"standard:readout={readout},steps={steps}{more}{read}"


def default_plan(seeds: int | None = None) -> Plan:
    """Six orders, four mixers, four tasks."""
    cells = _product(TASKS, ARCHITECTURES, ORDERS)
    return Plan(cells=cells, seeds=seeds or SEEDS, primary_seeds=seeds or PRIMARY_SEEDS)


def quick_plan(seeds: int | None = None) -> Plan:
    """A minute, to see that everything works; it decides nothing."""
    orders = ("horizontal", "hilbert", "random")
    more = ",evaluate_every=5,validation_samples=128,test_samples=256"
    text = protocol(steps=20, transfer=" ".join(orders), more=more)
    cells = _product(TASKS[:2], ("gated-ssm", "local-attention"), orders, text)
    return Plan(cells=cells, seeds=seeds or 2, primary_seeds=seeds or 2)


def full_plan(seeds: int | None = None) -> Plan:
    """The default study, every registered order, more mixers, readout=last, three difficulties, every task.

    The axes are varied around the default study, not all against all. Tasks whose data are not here are left out.
    """
    orders = {task: [name for name in scans.names() if fits(name, task)] for task in TASKS}
    more = [name for name in tasks.names() if name not in SEQUENCES and grid_of(name) is not None]
    last = protocol(readout="last", transfer=TRANSFER)
    cells = [
        *_product(TASKS, ARCHITECTURES, ORDERS),
        *(cell for task in TASKS for cell in _product([task], (*ARCHITECTURES, *MORE_ARCHITECTURES), orders[task])),
        *_product(TASKS, ARCHITECTURES, ORDERS, last),
        *_product(difficulties(SYNTHETIC), ARCHITECTURES, ORDERS),
        *_product(more, ARCHITECTURES, ORDERS),
    ]
    return Plan(cells=tuple(dict.fromkeys(cells)), seeds=seeds or SEEDS, primary_seeds=seeds or PRIMARY_SEEDS)


PLANS = {"quick": quick_plan, "default": default_plan, "full": full_plan}


def design(size: str, seeds: int | None) -> Design:
    """The stages of a size."""
    return PLANS[size](seeds).design()


def describe(size: str) -> list[str]:
    """What a size runs."""
    return PLANS[size]().text


def grid_of(task: str) -> Grid | None:
    """A task's grid, or None where the task cannot be made here (its data or a package are missing)."""
    try:
        return parse_task(task).grid
    except (Unsupported, UserError):
        return None


def fits(order: str, task: str) -> bool:
    """Whether a scan has routes on a task's grid."""
    grid = grid_of(task)
    try:
        return grid is not None and scan_from(order)[2].routes(grid) is not None
    except Unsupported:
        return False


def difficulties(names: Iterable[str]) -> list[str]:
    """Each task at several noises."""
    found = []
    for name in names:
        noise = tasks.get(name).parameters["noise"].default
        assert isinstance(noise, float)
        found += [f"{name}:noise={noise * factor:g}" for factor in NOISE_FACTORS]
    return found


def _product(
    tasks: Sequence[str], architectures: Sequence[str], orders: Sequence[str], text: str | None = None
) -> tuple[Cell, ...]:
    """Every combination, task by task; a scheme of several routes is not read by orders of one."""
    texts = {order: text or protocol(transfer=TRANSFER if _single(order) else "") for order in orders}
    return tuple(
        cell_from(task, architecture, order, texts[order])
        for task in tasks
        for architecture in architectures
        for order in orders
    )


def _single(order: str) -> bool:
    return len(scan_from(order)[2].orders) == 1
