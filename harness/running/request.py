"""What is asked for, as one frozen object: command line, Python and study files all make it, and it prints as any.

`harness.running.request_text` reads and prints it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.contracts.errors import UserError
from harness.registry import load_plugin
from harness.registry.cells import Cell, cell_from
from harness.registry.routing import scan_from
from harness.registry.specs import Spec, format_spec
from harness.registry.study import TUNING_SEEDS, Study

from .execution import Execution, Part, in_one_line

DTYPES = ("float32", "tf32", "bfloat16")  # `harness.training.precision` says what they are; it needs torch
DEFAULT_ARCHITECTURES = ("gated-ssm", "mamba", "global-attention", "local-attention", "mean-pool")
AXES = ("task", "architecture", "scan", "protocol")
MOST_CELLS = 100_000

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]
"""A list in TOML and JSON, and whatever Python has."""

Scalar = bool | int | float | str


class GridEntry(BaseModel):
    """An entry with parameters, each a value or a list of values; it stands for every combination."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: str
    __pydantic_extra__: dict[str, Scalar | list[Scalar]] = {}

    @property
    def specs(self) -> list[str]:
        parameters = self.__pydantic_extra__ or {}
        lists = [value if isinstance(value, list) else [value] for value in parameters.values()]
        if math.prod(map(len, lists)) > MOST_CELLS:
            raise ValueError(f"a grid has at most {MOST_CELLS:,} entries")
        texts = [[str(value).lower() if isinstance(value, bool) else str(value) for value in each] for each in lists]
        found = (dict(zip(parameters, values, strict=True)) for values in itertools.product(*texts))
        return [format_spec(Spec(name=self.name, parameters=each)) for each in found]


def _specs(entries: tuple[str | GridEntry, ...]) -> tuple[str, ...]:
    return tuple(text for entry in entries for text in ([entry] if isinstance(entry, str) else entry.specs))


if TYPE_CHECKING:
    Specs = tuple[str, ...]
else:
    Specs = Annotated[Many[str | GridEntry], Field(min_length=1), AfterValidator(_specs)]


class Rule(Part):
    """Cells that fit all the patterns given; `*` stands for anything, and a bare name for all its parameters."""

    task: str = "*"
    architecture: str = "*"
    scan: str = "*"
    protocol: str = "*"

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if all(getattr(self, axis) == "*" for axis in AXES):
            raise ValueError(f"at least one of {', '.join(AXES)} is needed, or every cell would go")
        return self

    def fits(self, texts: Sequence[str], cell: Cell) -> bool:
        """texts: as they were asked for, one an axis."""

        def fits(pattern: str, text: str, canonical: str) -> bool:
            names = (text, canonical, text.partition(":")[0].partition(".")[0])
            return any(fnmatchcase(name, pattern) for name in names)

        return all(fits(getattr(self, axis), text, getattr(cell, axis)) for axis, text in zip(AXES, texts, strict=True))


class More(Part):
    """A further cell beside the product of the axes."""

    task: str
    architecture: str
    scan: str = "horizontal"
    protocol: str = "standard"


class Tune(Part):
    """One grid of learning rates for every cell, and on how many held-out seeds it is tried.

    extend: beyond an edge at which the best stands. halving: bad rates are dropped before all seeds are done.
    """

    rates: Annotated[Many[float], Field(min_length=2)] | None = None
    seeds: Annotated[int, Field(ge=1, le=100)] = len(TUNING_SEEDS)
    extend: bool = False
    halving: bool = False

    @field_validator("rates")
    @classmethod
    def _rates(cls, rates: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if rates is not None and (min(rates) <= 0 or len(set(rates)) < len(rates)):
            raise ValueError("rates are different and above 0")
        return rates


class Decide(Part):
    """Seeds are added until each declared comparison is decided; see `harness.analysis.sequential`.

    Compared are cells that differ on one axis alone, the first of each such group with every other. margin: a
    difference in test accuracy that does not matter. alpha: the probability of any wrong decision among all. max_seeds:
    after these a comparison stays undecided. by: the axis; the first of scan, architecture and protocol that has
    several entries where none is given. budget: no further seeds are begun after this time: 90s, 30m, 2h.
    """

    margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    alpha: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    max_seeds: Annotated[int, Field(ge=1, le=10_000)] = 64
    by: Literal["scan", "architecture", "protocol"] | None = None
    budget: Annotated[str, Field(pattern=r"^\d{1,6}(\.\d{1,3})?[smh]$")] | None = None

    @property
    def budget_seconds(self) -> float:
        """Inf where there is no budget."""
        return (
            math.inf if self.budget is None else float(self.budget[:-1]) * {"s": 1, "m": 60, "h": 3600}[self.budget[-1]]
        )


class Request(Part):
    """Cells, seeds, and how they are run.

    name: of the study, and unless `store` says otherwise of its store. include: cells beside the product of the axes.
    exclude: which cells of the product are left out. seeds: how many (0, 1, ...), or which. tune: each cell's learning
    rate is chosen on validation first. decide: instead of so many seeds, as many as it takes to decide. primary: the
    declared pair of scans. overwrite: run again what the store has. loggers: where runs are shown too, as KIND:TARGET.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "results"
    title: str = ""
    tasks: Specs = ("locality2d",)
    architectures: Specs = DEFAULT_ARCHITECTURES
    scans: Specs = ("horizontal",)
    protocols: Specs = ("standard",)
    include: Many[More] = ()
    exclude: Many[Rule] = ()
    seeds: Annotated[int, Field(ge=1, le=100_000)] | Many[int] = 3
    tune: bool | Tune = False
    decide: bool | Decide = False
    primary: Annotated[tuple[str, str], Field(strict=False)] = ("horizontal", "hilbert")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "tf32", "bfloat16"] = "float32"
    timing: bool = True
    store: Annotated[str, Field(min_length=1)] | None = None
    overwrite: bool = False
    plugins: Many[str] = ()
    loggers: Many[str] = ()
    executor: Execution = Execution()

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if isinstance(seeds, tuple) and not (
            0 < len(seeds) == len(set(seeds)) and all(0 <= seed < min(TUNING_SEEDS) for seed in seeds)
        ):
            raise ValueError("seeds are different whole numbers from 0 to 999999")
        return seeds

    @property
    def rule(self) -> Decide | None:
        """How seeds are added; None where their number is given."""
        return self.decide if isinstance(self.decide, Decide) else Decide() if self.decide else None

    @property
    def seed_list(self) -> list[int]:
        """Which seeds there may be; where seeds are added until all is decided, those up to the limit."""
        if self.rule is not None:
            return list(range(self.rule.max_seeds))
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def store_path(self) -> str:
        return self.store or f"{self.name}.sqlite"

    @property
    def primary_pair(self) -> tuple[str, str]:
        """Canonical texts of the declared pair.

        Raises:
            UserError: one of them is no scan.
        """
        return scan_from(self.primary[0])[0], scan_from(self.primary[1])[0]

    def cells(self) -> list[Cell]:
        """Every combination of the axes that no rule excludes, then what is included; each once. Plug-ins are loaded.

        Raises:
            UserError: an unknown entry or parameter, parameters that do not go together, or a study of nothing.
        """
        for plugin in self.plugins:
            load_plugin(plugin)
        axes = (self.tasks, self.architectures, self.scans, self.protocols)
        count = math.prod(map(len, axes))
        if count > MOST_CELLS:
            raise UserError(f"the axes multiply to {count:,} cells; at most {MOST_CELLS:,} are a study")
        found = {}
        for texts in itertools.product(*axes):
            found.setdefault(cell_from(*texts), texts)
        kept = [cell for cell, texts in found.items() if not any(rule.fits(texts, cell) for rule in self.exclude)]
        more = [cell_from(one.task, one.architecture, one.scan, one.protocol) for one in self.include]
        cells = list(dict.fromkeys([*kept, *more]))
        if not cells:
            raise UserError("exclude leaves no cell")
        for cell in cells:
            cell.check()
        return cells

    def study(self, device: str) -> Study:
        """The cells and seeds, to be run on a device that is there."""
        tune = self.tune if isinstance(self.tune, Tune) else Tune()
        return Study(
            cells=self.cells(),
            seeds=self.seed_list,
            device=device,
            dtype=self.dtype,
            tune=self.tune is not False,
            tuning_seeds=range(TUNING_SEEDS[0], TUNING_SEEDS[0] + tune.seeds),
            rates=tune.rates or (),
            extend=tune.extend,
            halving=tune.halving,
            timing=self.timing,
        )

    def changed(self, **values: Any) -> Request:
        """The request with other values of some fields; None leaves a field as it is."""
        given = {name: value for name, value in values.items() if value is not None}
        return request_from({name: getattr(self, name) for name in self.model_fields_set} | given)


def request_from(values: dict[str, Any]) -> Request:
    """A request of the fields that are given.

    Raises:
        UserError: one line that names the field, the value and the rule.
    """
    try:
        return Request.model_validate(values)
    except ValidationError as error:
        raise UserError(in_one_line(error)) from error
