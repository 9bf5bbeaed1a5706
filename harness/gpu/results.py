"""What pieces left behind: one JSON file each in one folder, written whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.contracts.errors import UserError
from harness.store.provenance import provenance

from .bench import Bench
from .pieces import Piece, Row, versions

DONE, UNFINISHED, FAILED = "done", "unfinished", "failed"


@dataclass(kw_only=True)
class Result:
    """A piece's result.

    status: done (all its rows are there, right or wrong), failed (it broke or was stopped: `reason`; the rows so far
    are kept), or unfinished while it runs. device: "cuda" or "cpu". card: name of the GPU or processor. source: hash of
    the code. versions: of the packages with kernels.
    """

    piece: str
    title: str
    device: str
    card: str
    small: bool
    source: str
    versions: dict[str, str | None]
    commit: str | None
    started_at: str
    status: str = UNFINISHED
    reason: str | None = None
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)

    @property
    def wrong(self) -> list[Row]:
        """The rows that did not pass."""
        return [row for row in self.rows if row.passed is False]

    @property
    def is_right(self) -> bool:
        """It came to its end, and nothing in it is wrong."""
        return self.status == DONE and not self.wrong

    @property
    def verdict(self) -> str:
        """In words, for lists and the page."""
        if self.status != DONE:
            return f"{self.status}: {self.reason}" if self.reason else self.status
        tried = [row for row in self.rows if row.passed is not None]
        if self.wrong:
            return f"{len(self.wrong)} of {len(tried)} WRONG"
        return f"{len(tried)} right" + (f", {len(self.rows) - len(tried)} not judged" * (len(tried) < len(self.rows)))

    def serves(self, piece: Piece, bench: Bench) -> bool:
        """Whether it need not be made again: finished, by the same code and kernels, on the same device."""
        made = (self.source, self.versions, self.device, self.card, self.small)
        return self.status == DONE and made == (piece.source, versions(), bench.device, bench.name, bench.small)


def begin(piece: Piece, bench: Bench) -> Result:
    """A result without rows."""
    return Result(
        piece=piece.name,
        title=piece.title,
        device=bench.device,
        card=bench.name,
        small=bench.small,
        source=piece.source,
        versions=versions(),
        commit=provenance()["commit"],
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def path_of(folder: Path, name: str) -> Path:
    """The file of a piece's result."""
    return folder / f"{name}.json"


def write(folder: Path, result: Result) -> None:
    """Put a result into its file; a reader sees the old one or the new one."""
    path = path_of(folder, result.piece)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(result), indent=1) + "\n")
    os.replace(partial, path)


def read(folder: Path, name: str) -> Result | None:
    """The result of a piece, or None where there is none.

    Raises:
        UserError: the file is no result.
    """
    path = path_of(folder, name)
    return _read(path) if path.is_file() else None


def read_all(folder: Path) -> list[Result]:
    """All results of a folder, by name; none where it does not exist."""
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _read(path: Path) -> Result:
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        return Result(**{**values, "rows": [Row(**row) for row in values["rows"]]})
    except (ValueError, TypeError, KeyError) as error:
        rule = "holds results of gpu-check only; move the file away, and the piece is done again"
        raise UserError(f"{path} is no result ({type(error).__name__}); the folder {rule}") from error
