"""A claim: what is published, how it was read, what is run here for it, and the rules that judge it; one TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.contracts.errors import UserError, nearest
from harness.registry.cells import Cell, cell_from, protocol_of

from .rules import undecidable

FOLDER = Path(__file__).parent / "claims"
COSTS = ("minutes", "hours", "gpu")
AS_PUBLISHED = "as published"

Cost = Literal["minutes", "hours", "gpu"]
Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """Unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Part):
    """Where a claim is published: the paper, table or figure in it, and a repository's file with the settings."""

    paper: Text
    place: Text
    repository: str = ""
    file: str = ""

    @property
    def text(self) -> str:
        """In one line."""
        return ", ".join(filter(None, [self.paper, self.place, f"{self.repository} {self.file}".strip()]))


class Published(Part):
    """A published number, or in words what a figure shows, and how that was read: in the source's own repository or
    text, in a transcription, off a plot, from memory.
    """

    of: Text
    value: float | None = None
    read: Literal["repository", "text", "transcription", "plot", "memory"]


class CellText(Part):
    """The four specs of a cell."""

    task: Text
    architecture: Text
    scan: Text = "horizontal"
    protocol: Text

    @property
    def cell(self) -> Cell:
        return cell_from(self.task, self.architecture, self.scan, self.protocol)


class _Rule(Part):
    """length: the test length whose accuracy is judged; none: the test accuracy."""

    length: int | None = None


class Within(_Rule):
    """The mean of a cell lies within a margin of a number."""

    rule: Literal["within"]
    cell: Text
    value: float
    margin: Annotated[float, Field(gt=0)]

    @property
    def text(self) -> str:
        return f"{_at(self.cell, self)} within {self.margin:g} of {self.value:g}"


class Order(_Rule):
    """A cell is above another by at least a smallest effect."""

    rule: Literal["order"]
    above: Text
    below: Text
    effect: Annotated[float, Field(gt=0, lt=1)]

    @property
    def text(self) -> str:
        return f"{_at(self.above, self)} above {self.below} by {self.effect:g} or more"


class Solved(_Rule):
    """More than a share of seeds reach a score."""

    rule: Literal["solved"]
    cell: Text
    score: Share
    share: Share = 0.5

    @property
    def text(self) -> str:
        return f"{_at(self.cell, self)} reaches {self.score:g} in more than {self.share:.0%} of seeds"


class Unsolved(_Rule):
    """More than a share of seeds stay within a margin of chance."""

    rule: Literal["unsolved"]
    cell: Text
    margin: Annotated[float, Field(gt=0, lt=1)]
    share: Share = 0.5

    @property
    def text(self) -> str:
        return f"{_at(self.cell, self)} stays within {self.margin:g} of chance in more than {self.share:.0%} of seeds"


Rule = Within | Order | Solved | Unsolved


class Claim(Part):
    """What a file holds.

    minutes: estimated, of all its runs on one CPU core (on a GPU where it takes one). setting: `as published`, or
    `reduced`, and then `reduced` says what was. rates: tried for every cell on held-out seeds; none: the cells' own.
    dispute: who says otherwise. found: what is known of the verdict, written after its runs and therefore not blind.
    """

    id: Text
    statement: Text
    source: Source
    published: tuple[Published, ...]
    setting: Literal["as published", "reduced"]
    setting_published: Text
    setting_run: Text
    reduced: tuple[Text, ...] = ()
    cost: Cost
    minutes: Annotated[float, Field(gt=0)]
    seeds: Annotated[int, Field(ge=2, le=1000)]
    rates: tuple[Annotated[float, Field(gt=0)], ...] = ()
    cells: Annotated[dict[str, CellText], Field(min_length=1)]
    rules: Annotated[tuple[Annotated[Rule, Field(discriminator="rule")], ...], Field(min_length=1)]
    dispute: str = ""
    found: str = ""

    @property
    def command(self) -> str:
        """What a user types to run it."""
        return f"python -m harness known-answers run {self.id}{' --device cuda' if self.cost == 'gpu' else ''}"


def names_in(rule: Rule) -> tuple[str, ...]:
    """The cells that a rule speaks of."""
    return (rule.above, rule.below) if isinstance(rule, Order) else (rule.cell,)


def read_claim(path: Path) -> Claim:
    """Read and check one file.

    Raises:
        UserError: one line that names the file, the field, the rule and what was received.
    """
    try:
        claim = Claim.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"claim {path.name}: no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"])
        got = "" if first["type"] == "missing" else f", got {first['input']!r:.60}"
        raise UserError(f"claim {path.name}: {place}: {first['msg'].lower()}{got}") from error
    for problem in _problems(claim, path):
        raise UserError(f"claim {path.name}: {problem}")
    return claim


def _problems(claim: Claim, path: Path):
    """What fields say of each other that cannot be."""
    if claim.id != path.stem:
        yield f"id: the file's name without .toml, {path.stem!r}, got {claim.id!r}"
    if (claim.setting == AS_PUBLISHED) == bool(claim.reduced):
        yield f"reduced: says what was, where setting = 'reduced' and only there, got {list(claim.reduced)}"
    for number, rule in enumerate(claim.rules):
        for name in names_in(rule):
            if name not in claim.cells:
                yield f"rules.{number}: {name!r} is none of its cells; {nearest(name, list(claim.cells))}"
        reason = undecidable(rule.rule, claim.seeds, getattr(rule, "share", 0.5))
        if reason:
            yield f"rules.{number}: {rule.rule} cannot be decided with seeds = {claim.seeds}: {reason}; take more seeds"
    for name, text in claim.cells.items():
        try:
            protocol_of(text.cell)  # not the task, which may read files or draw a set
        except UserError as error:
            yield f"cells.{name}: {error}"


def read_all(folder: Path) -> dict[str, Claim]:
    """Every claim by its id: what runs in minutes first, then hours, then what takes a GPU."""
    claims = [read_claim(path) for path in sorted(folder.glob("*.toml"))]
    return {claim.id: claim for claim in sorted(claims, key=lambda claim: COSTS.index(claim.cost))}


def _at(cell: str, rule: _Rule) -> str:
    return cell if rule.length is None else f"{cell} at length {rule.length:,}"
