"""A study written down in TOML: axes with lists and grids, rules, seeds, tuning, executor.

    name = "noise"
    tasks = [{ name = "locality2d", noise = [0.2, 0.3] }]   # a grid: every combination of the lists
    architectures = ["gated-ssm", "mamba"]
    scans = ["horizontal", "hilbert", "random"]
    seeds = 10
    tune = { rates = [0.001, 0.003, 0.01], seeds = 1 }

`read_study(path)` checks everything that can be checked before a run and says what is wrong in one line: the file, the
field, what was received and the rule.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .cells import Cell, cell_from
from .errors import UserError
from .execution import Execution, Part, in_one_line
from .registry import load_plugin
from .specs import Spec, format_spec, parse_scan
from .study import TUNING_SEEDS, Study

Scalar = bool | int | float | str
AXES = ("task", "architecture", "scan", "protocol")
MOST_CELLS = 100_000


class GridEntry(BaseModel):
    """An entry with parameters, each a value or a list of values; it stands for every combination."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: str
    __pydantic_extra__: dict[str, Scalar | list[Scalar]] = {}

    @property
    def specs(self) -> list[str]:
        parameters = self.__pydantic_extra__ or {}
        lists = [value if isinstance(value, list) else [value] for value in parameters.values()]
        return [
            format_spec(Spec(name=self.name, parameters=dict(zip(parameters, map(text_of, values), strict=True))))
            for values in itertools.product(*lists)
        ]


Entry = str | GridEntry


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
        """texts: as the file has them, one an axis."""
        return all(
            _fits(getattr(self, axis), text, getattr(cell, axis)) for axis, text in zip(AXES, texts, strict=True)
        )


class More(Part):
    """A further cell beside the product of the axes."""

    task: str
    architecture: str
    scan: str = "horizontal"
    protocol: str = "standard"


class Tune(Part):
    """One grid of learning rates for every cell, and on how many seeds of their own it is tried."""

    rates: Annotated[list[float], Field(min_length=2)] | None = None
    seeds: Annotated[int, Field(ge=1, le=100)] = len(TUNING_SEEDS)

    @field_validator("rates")
    @classmethod
    def _rates(cls, rates: list[float] | None) -> list[float] | None:
        if rates is not None and (min(rates) <= 0 or len(set(rates)) < len(rates)):
            raise ValueError("rates are different and above 0")
        return rates


class StudyFile(Part):
    """The whole file. See the module."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str = ""
    tasks: Annotated[list[Entry], Field(min_length=1)]
    architectures: Annotated[list[Entry], Field(min_length=1)]
    scans: Annotated[list[Entry], Field(min_length=1)] = ["horizontal"]
    protocols: Annotated[list[Entry], Field(min_length=1)] = ["standard"]
    include: list[More] = []
    exclude: list[Rule] = []
    seeds: Annotated[int, Field(ge=1, le=100_000)] | list[int] = 5
    tune: bool | Tune = False
    primary: tuple[str, str] = ("horizontal", "hilbert")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "tf32", "bfloat16"] = "float32"
    timing: bool = True
    plugins: list[str] = []
    executor: Execution = Execution()

    @field_validator("primary", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: int | list[int]) -> int | list[int]:
        if isinstance(seeds, list) and (
            not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < min(TUNING_SEEDS) for seed in seeds)
        ):
            raise ValueError("seeds are different whole numbers from 0 to 999999")
        return seeds

    @property
    def seed_list(self) -> list[int]:
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    def cells(self) -> list[Cell]:
        """Every combination of the axes that no rule excludes, then what is included; each once.

        Raises:
            UserError: an unknown entry or parameter, or a study of nothing.
        """
        axes = (self.tasks, self.architectures, self.scans, self.protocols)
        texts = [[text for entry in axis for text in specs_of(entry)] for axis in axes]
        count = len(texts[0]) * len(texts[1]) * len(texts[2]) * len(texts[3])
        if count > MOST_CELLS:
            raise UserError(f"the axes multiply to {count:,} cells; at most {MOST_CELLS:,} are a study")
        cells = {cell_from(*combination): combination for combination in itertools.product(*texts)}
        kept = [cell for cell, combination in cells.items() if not self._excludes(combination, cell)]
        more = [cell_from(one.task, one.architecture, one.scan, one.protocol) for one in self.include]
        found = list(dict.fromkeys([*kept, *more]))
        if not found:
            raise UserError("exclude leaves no cell")
        return found

    def _excludes(self, texts: Sequence[str], cell: Cell) -> bool:
        return any(rule.fits(texts, cell) for rule in self.exclude)

    def study(self, device: str) -> Study:
        """What `run_study` does, on a device that is there."""
        tune = self.tune if isinstance(self.tune, Tune) else Tune()
        from .api import training_for

        return Study(
            cells=self.cells(),
            seeds=self.seed_list,
            device=device,
            dtype=self.dtype,
            tune=self.tune is not False,
            tuning_seeds=range(TUNING_SEEDS[0], TUNING_SEEDS[0] + tune.seeds),
            rates=tune.rates or (),
            training=training_for(device, self.executor),
        )


def text_of(value: Scalar) -> str:
    """A TOML value as a spec has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def specs_of(entry: Entry) -> list[str]:
    """The spec texts that an axis entry stands for."""
    return [entry] if isinstance(entry, str) else entry.specs


def _fits(pattern: str, text: str, canonical: str) -> bool:
    """A pattern fits the text in the file, the canonical one, or the bare name."""
    name = text.partition(":")[0].partition(".")[0]
    return any(fnmatchcase(candidate, pattern) for candidate in (text, canonical, name))


def read_study(path: str | Path) -> StudyFile:
    """Read and check a study file; its plug-ins are loaded, its cells made.

    Raises:
        UserError: one line that names the file, the field, the value and the rule.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UserError(f"study {str(path)!r} cannot be read: {reason}") from error
    try:
        found = StudyFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"study {str(path)!r} is no TOML: {error}") from error
    except ValidationError as error:
        raise UserError(f"study {str(path)!r}: {in_one_line(error)}") from error
    try:
        for plugin in found.plugins:
            load_plugin(plugin)
        for scan in found.primary:
            parse_scan(scan)
        for cell in found.cells():
            cell.check()
    except UserError as error:
        raise UserError(f"study {str(path)!r}: {error}") from error
    return found
