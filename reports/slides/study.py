"""What is run, in two sizes: the difficulty by a rule, then every mixer under every order, then times and memory."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contracts.outcome import Status
from harness.registry.cells import Cell, cell_from, parse_task
from harness.registry.specs import parse_spec, quote
from harness.registry.study import Design, ReadingStage, Study, TimingStage

from ..page import Question

ARCHITECTURES = ("mamba", "gated-ssm", "local-attention", "identity")
CONTROL = "identity"
"""Order-blind; with readout=attention it is ABMIL."""

ORDERS = ("horizontal", "snake", "hilbert", "random")
LEVELS = (0.2, 0.225, 0.25, 0.275, 0.3)
"""Standard deviations of the noise in a feature, of which the rule takes one."""

DIFFICULTY_SEEDS = (100, 101)
TARGET = 0.75
"""Half-way between chance and 1."""

FOLDS = 5
"""Of every partition of the patients."""

KEPT_MEBIBYTES = 32
"""What may be kept while memory is watched: less than the slides have, so that it shows whether it grows with them."""

QUESTIONS = (
    Question("primary", "Is Hilbert better than rows?", "mixers that see an order", declared=True),
    Question("cost", "What do time and memory grow with?", "none", declared=False),
)

SLIDES_TASK = "synthetic-slides"
BAGS_TASK = "wsi"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One size of the study.

    folds: how many are tested on, one a seed. slides: how many are written. shape: parameters of `synthetic-slides`
    beside its noise. levels: of noise. protocol: of all runs. timed_tiles: of single slides that are timed.
    read_slides, read_shape: a set with more features than are kept.
    """

    name: str
    folds: int
    slides: int
    shape: str
    levels: tuple[float, ...]
    protocol: str
    timed_tiles: tuple[int, ...]
    read_slides: int
    read_shape: str

    def task(self, noise: float) -> str:
        """The slides as they are drawn."""
        return f"{SLIDES_TASK}:{self.shape},noise={noise:g}"

    def difficulty_cells(self) -> list[Cell]:
        """Mixers that see an order, at every level, along rows alone."""
        mixers = [name for name in ARCHITECTURES if name != CONTROL]
        return [
            cell_from(self.task(noise), name, "horizontal", self.protocol) for noise in self.levels for name in mixers
        ]

    def cells(self, folder: str) -> list[Cell]:
        """Every mixer under every order, on the slides in a folder."""
        task = f"{BAGS_TASK}:root={quote(folder)},folds={FOLDS}"
        return [cell_from(task, name, order, self.protocol) for name in ARCHITECTURES for order in ORDERS]

    def timed_cells(self, noise: float) -> list[Cell]:
        """Every mixer on one slide at a time, of each size."""
        protocol = "standard:readout=attention,batch_size=1"
        return [
            cell_from(f"{SLIDES_TASK}:tiles={tiles},spread=1,noise={noise:g}", name, "hilbert", protocol)
            for tiles in self.timed_tiles
            for name in ARCHITECTURES
        ]


PLANS = {
    "default": Plan(
        name="default", folds=FOLDS, slides=600, shape="tiles=800,spread=1.6", levels=LEVELS,
        protocol="standard:readout=attention,steps=250,batch_size=8,evaluate_every=50,learning_rate=0.003",
        timed_tiles=(500, 1000, 2000, 5000, 10_000, 20_000), read_slides=150, read_shape="tiles=5000,spread=1,dim=128",
    ),
    "quick": Plan(
        name="quick", folds=2, slides=60, shape="tiles=80,spread=1.2,clusters=1,size=4", levels=LEVELS[:2],
        protocol="standard:readout=attention,steps=6,batch_size=4,evaluate_every=3,validation_samples=16",
        timed_tiles=(200, 400), read_slides=20, read_shape="tiles=400,spread=1",
    ),
}  # fmt: skip


def noise_of(record: Mapping[str, Any]) -> float:
    """The level at which a difficulty run was made."""
    return float(parse_spec(record["task"]).parameters["noise"])


def medians(records: Sequence[Mapping[str, Any]]) -> dict[float, float]:
    """Level to the median over mixers of mean test accuracy; runs that have none count as chance."""
    found: dict[float, dict[str, list[float]]] = {}
    for record in records:
        score = record.get("test_accuracy") if record["status"] == Status.DONE else 0.5
        found.setdefault(noise_of(record), {}).setdefault(record["architecture"], []).append(score or 0.0)
    return {
        noise: statistics.median(statistics.fmean(scores) for scores in by_mixer.values())
        for noise, by_mixer in sorted(found.items())
    }


def chosen_level(records: Sequence[Mapping[str, Any]]) -> float:
    """The rule: the level whose median stands nearest to half-way between chance and 1; the smaller one on a tie."""
    found = medians(records)
    return min(found, key=lambda noise: (abs(found[noise] - TARGET), noise))


def describe(size: str) -> list[str]:
    """What a size runs."""
    plan = PLANS[size]
    levels, cells = len(plan.difficulty_cells()) * len(DIFFICULTY_SEEDS), len(ARCHITECTURES) * len(ORDERS)
    return [
        f"{levels} runs to choose the noise, then {cells} cells by {plan.folds} folds on {plan.slides} slides",
        f"architecture: {' '.join(ARCHITECTURES)}",
        f"scan: {' '.join(ORDERS)}",
        f"protocol: {plan.protocol}",
    ]


def design(size: str, seeds: int | None, folder: str) -> Design:
    """The stages; slides are written between them unless they are there. seeds: folds that are tested on."""
    plan = PLANS[size]
    noise = chosen_level((yield Study(cells=plan.difficulty_cells(), seeds=DIFFICULTY_SEEDS, timing=False)))
    slides = _written(Path(folder) / f"{plan.name}-noise{noise:g}", plan.task(noise), plan.slides, "clam")
    yield Study(cells=plan.cells(str(slides)), seeds=range(seeds or plan.folds), timing=False)
    yield TimingStage(cells=plan.timed_cells(noise))
    read = _written(Path(folder) / f"{plan.name}-read", f"{SLIDES_TASK}:{plan.read_shape}", plan.read_slides, "trident")
    yield ReadingStage(task=f"{BAGS_TASK}:root={read}", kept_mebibytes=KEPT_MEBIBYTES)


def _written(folder: Path, task: str, count: int, form: str) -> Path:
    """The slides in a folder, written unless they are there; labels.csv comes last, so with it they are whole."""
    if not (folder / "labels.csv").is_file():
        drawn: Any = parse_task(task)
        drawn.write_slides(folder, count, format=form, seed=0)
    return folder
