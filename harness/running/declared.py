"""Comparisons that are declared beforehand, and what came of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.sequential import Decision, Sequential
from harness.contracts.errors import UserError
from harness.registry.cells import REGISTRIES, Cell, display_spec


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Two cells that differ on the axis `by` alone; the second is judged against the first."""

    first: Cell
    second: Cell
    by: str

    @property
    def name(self) -> str:
        """`locality2d local-attention: hilbert against horizontal`."""
        shared = [axis for axis in REGISTRIES if axis != self.by and axis != "protocol"]
        place = " ".join(display_spec(axis, getattr(self.first, axis)) for axis in shared)
        first, second = (display_spec(self.by, getattr(cell, self.by)) for cell in (self.first, self.second))
        return f"{place}: {second} against {first}"


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What came of a declared comparison.

    runs: final runs of its two cells; seconds: their time together. reason: why it was given up before the limit, if it
    was. at_chance: neither cell is above chance, so that being alike says little.
    """

    declared: Declared
    answer: Sequential
    runs: int = 0
    seconds: float = 0.0
    reason: str = ""
    at_chance: bool = False

    @property
    def line(self) -> str:
        """Name, decision, effect, interval, seeds."""
        answer = self.answer
        if not answer.seeds:
            return f"{self.declared.name}: undecided, {self.reason or 'no pair of seeds has scores'}"
        what = f"{answer.decision}" + (f" within {answer.margin:g}" if answer.decision is Decision.EQUIVALENT else "")
        if not answer.decided and self.reason:
            what += f" ({self.reason})"
        coverage = 100 * (1 - answer.level)
        interval = f"{coverage:.4g}% interval [{answer.low:+.4f}, {answer.high:+.4f}]"
        rare = ""
        if answer.decision is Decision.EQUIVALENT:
            rare = f"; at most {answer.rare_share:.0%} of seeds differ by more"
        chance = "; both at chance" * self.at_chance
        return f"{self.declared.name}: {what}, {answer.effect:+.4f}, {interval}, {answer.seeds} seeds{rare}{chance}"

    @property
    def row(self) -> dict[str, object]:
        """As JSON and as a row of a table."""
        answer, cells = self.answer, (self.declared.first, self.declared.second)
        shared = {axis: getattr(cells[0], axis) for axis in REGISTRIES if axis != self.declared.by}
        compared = {f"{self.declared.by}_{n}": getattr(cell, self.declared.by) for n, cell in enumerate(cells, start=1)}
        numbers = {name: getattr(answer, name) for name in ("effect", "low", "high", "seeds", "margin", "level")}
        more = {"rare_share": answer.rare_share, "runs": self.runs, "seconds": self.seconds, "reason": self.reason}
        more["at_chance"] = self.at_chance
        return {**shared, **compared, "decision": str(answer.decision), **numbers, **more}


def comparisons_of(cells: Sequence[Cell], by: str | None = None) -> list[Declared]:
    """The first cell of every group that differs on one axis alone, with every other of the group.

    Raises:
        UserError: nothing to compare.
    """
    if by is None:
        several = [axis for axis in ("scan", "architecture", "protocol") if len({getattr(c, axis) for c in cells}) > 1]
        if not several:
            raise UserError("decide compares scans, architectures or protocols, got one of each; give two of one")
        by = several[0]
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(getattr(cell, axis) for axis in REGISTRIES if axis != by), []).append(cell)
    found = [Declared(first=g[0], second=other, by=by) for g in groups.values() for other in g[1:]]
    if not found:
        raise UserError(f"decide: no two cells differ in their {by} alone; give two of them, or another axis with --by")
    return found
