"""Records as files: CSV to look at, JSON Lines and Parquet to travel, which `import` reads back as they were.

Runs lie in the file that was asked for, timing rows in one beside it (runs.parquet, runs.timings.parquet). Beside the
fields of a record each row says the speeds of its cell and whether its source differs from today's, for whoever
analyses the file; reading leaves these out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.contracts.errors import UserError

from .dataframe import DERIVED, Derived, columns_of
from .packing import GROUP_OF, SHARED_PARTS, LightRecord, text_of, without_collector
from .record import FIELDS, Record, problems_of, upgrade
from .store import Store

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (".csv", ".jsonl", ".parquet")
BATCH = 10_000
TIMING_FIELDS = ("session", "cell", "setting")

Batch: TypeAlias = list[tuple[LightRecord, str | None]]
"""Runs and the JSON texts of their heavy parts."""


def timings_path(path: Path) -> Path:
    """Where the timing rows of `path` lie."""
    return path.with_suffix(f".timings{path.suffix}")


def write_runs(store: Store, path: Path, *, tuning: bool = False) -> tuple[int, int]:
    """Write a store's runs, and its timing rows beside them (not with CSV); gives how many of each."""
    timings, runs, count = store.timings(), store.runs_and_heavy(tuning=tuning), 0
    with without_collector(), _writer(path, Derived(timings)) as write:
        while batch := list(islice(runs, BATCH)):
            write(batch)
            count += len(batch)
    beside = timings_path(path)
    if path.suffix == ".csv" or not (timings or beside.exists()):
        return count, 0
    if path.suffix == ".jsonl":
        beside.write_text("".join(map(_json_line, timings)), encoding="utf-8")
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: pa.array([str(row[name]) for row in timings], pa.string()) for name in TIMING_FIELDS}
        pq.write_table(pa.table(columns | {"record": pa.array(map(text_of, timings), pa.string())}), beside)
    return count, len(timings)


def read_runs(path: Path) -> Iterator[Record | str]:
    """The records of a file of `write_runs`, in its order; what cannot be read as one is a text that says why.

    Raises:
        UserError: another format, or no such file.
    """
    for row in _rows(path):
        yield row if isinstance(row, str) else {name: row[name] for name in row if name not in DERIVED}


def read_timings(path: Path) -> Iterator[Record | str]:
    """The timing rows beside a file of `write_runs`; none where there is no such file."""
    return _rows(timings_path(path)) if timings_path(path).exists() else iter(())


def read_recorded(path: Path) -> tuple[list[Record], list[Record]]:
    """Runs and timing rows of a file, to be shown as they were recorded: without asking for today's source.

    Raises:
        UserError: a row that cannot be read, or that breaks a rule.
    """
    runs: list[Record] = []
    for number, row in enumerate(read_runs(path), start=1):
        wrong = [row] if isinstance(row, str) else problems_of(upgrade(row))
        if wrong or isinstance(row, str):
            raise UserError(f"{path} row {number}: {'; '.join(wrong)}")
        runs.append(upgrade(row) | {"source": None})
    timings = list(read_timings(path))
    for number, row in enumerate(timings, start=1):
        if isinstance(row, str):
            raise UserError(f"{timings_path(path)} row {number}: {row}")
    return runs, [row for row in timings if not isinstance(row, str)]


@contextmanager
def _writer(path: Path, derived: Derived) -> Iterator[Callable[[Batch], object]]:
    if path.suffix == ".jsonl":
        with path.open("w", encoding="utf-8") as lines:
            yield lambda batch: lines.writelines(_json_lines(batch, derived))
        return
    import pyarrow.csv
    import pyarrow.parquet

    absent_in: dict[tuple[int, ...], str] = {}
    schema = _table([], derived, absent_in).schema
    if path.suffix == ".csv":
        opened = pyarrow.csv.CSVWriter(path, schema)
    else:
        repeated: Any = [name for name in schema.names if name in GROUP_OF or name in DERIVED]  # no other column does
        opened = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeated)
    with opened as file:
        yield lambda batch: file.write_table(_table(batch, derived, absent_in))


def _table(batch: Batch, derived: Derived, absent_in: dict[tuple[int, ...], str]) -> pa.Table:
    """A column a field, then `absent`: fields that a record lacks, and `more`: JSON of what no column can hold.

    `absent_in` keeps what was found for runs of the same shared parts.
    """
    import pyarrow as pa

    arrow = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    misfits: dict[int, dict[str, Any]] = {}  # of few rows: values of another type than their column's
    table: dict[str, pa.Array] = {}
    for name, coded in columns_of([run for run, _ in batch], derived).items():
        kind = (FIELDS | DERIVED)[name]
        values, fitting = coded.values, coded.values
        odd: set[int] = set()
        if not _all_fit(values, kind):
            fitting = [_fitting(value, kind) for value in values]
            odd = {at for at, value in enumerate(values) if value is not None and fitting[at] is None}
        if odd and name in FIELDS:
            for row, code in enumerate(range(len(batch)) if coded.codes is None else coded.codes.tolist()):
                if code in odd:
                    misfits.setdefault(row, {})[name] = values[code]
        array = pa.array(fitting, arrow.get(kind, pa.string()))
        table[name] = array if coded.codes is None else array.take(pa.array(coded.codes))
    absent = []
    for run, _ in batch:
        shared = tuple(map(id, run.parts[:SHARED_PARTS]))
        if shared not in absent_in:
            absent_in[shared] = " ".join(sorted(FIELDS.keys() - run.light().keys()))
        absent.append(absent_in[shared])
    more = [heavy or "{}" for _, heavy in batch]
    for row, values in misfits.items():
        more[row] = text_of(json.loads(more[row]) | values)
    return pa.table(table | {"absent": pa.array(absent, pa.string()), "more": pa.array(more, pa.string())})


def _all_fit(values: list[Any], kind: type) -> bool:
    """Whether a column of that type holds the values as they are, told in less time than one by one."""
    if not set(map(type, values)) <= {kind, type(None)} or kind in (list, dict):
        return False
    held = [value for value in values if value is not None]
    if kind is int:
        return not held or (min(held) >= -(2**63) and max(held) < 2**63)
    return kind is not str or all(map(str.isascii, held))


def _fitting(value: Any, kind: type) -> Any:
    """The value as a column of that type holds it; None where it cannot without changing it."""
    if kind in (list, dict):
        return None if value is None else text_of(value)
    fits = type(value) is kind and (kind is not int or -(2**63) <= value < 2**63)
    # Bytes of a file name that are no text may stand in a reason.
    return value if fits and (kind is not str or value == value.encode(errors="ignore").decode()) else None


def _json_lines(batch: Batch, derived: Derived) -> Iterator[str]:
    for run, heavy in batch:
        yield _json_line(derived.of(run) | run.light() | (json.loads(heavy) if heavy else {}))


def _json_line(value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False) + "\n"
    except ValueError:
        return json.dumps(_without_nan(value), sort_keys=True, allow_nan=False) + "\n"


def _without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity: such a number becomes {"float": "nan"}."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, Mapping):
        return {name: _without_nan(each) for name, each in value.items()}
    return [_without_nan(each) for each in value] if isinstance(value, list | tuple) else value


def _with_nan(found: dict[str, Any]) -> Any:
    return float(found["float"]) if found.keys() == {"float"} and found["float"] in ("nan", "inf", "-inf") else found


def _rows(path: Path) -> Iterator[Record | str]:
    if path.suffix not in (".jsonl", ".parquet"):
        raise UserError(f"runs are read from .jsonl and .parquet files that export wrote, got {str(path)!r}")
    if not path.is_file():
        raise UserError(f"{str(path)!r} does not exist; write one with: python -m harness export STORE -o {path.name}")
    yield from _json_rows(path) if path.suffix == ".jsonl" else _parquet_rows(path)


def _json_rows(path: Path) -> Iterator[Record | str]:
    with path.open("rb") as lines:
        for line in lines:
            try:
                found = json.loads(line, object_hook=_with_nan)
            except ValueError as error:
                yield f"no JSON: {error}"
            else:
                yield found if isinstance(found, dict) else "no JSON object"


def _parquet_rows(path: Path) -> Iterator[Record | str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{str(path)!r} is no Parquet file: {error}") from error
    with file:
        names = set(file.schema_arrow.names)
        if not ({"absent", "more"} <= names or {*TIMING_FIELDS, "record"} == names):
            raise UserError(f"{str(path)!r} was not written by export: it has no columns 'absent' and 'more'")
        for batch in file.iter_batches(batch_size=BATCH):
            for row in batch.to_pylist():
                try:
                    yield json.loads(row["record"]) if "record" in row else _record_of(row)
                except (ValueError, TypeError, AttributeError) as error:
                    yield f"not as export writes it: {error}"


def _record_of(row: dict[str, Any]) -> Record:
    absent, more = set(row.pop("absent").split()), json.loads(row.pop("more"))
    record = {name: value for name, value in row.items() if name not in absent}
    texts = [name for name, value in record.items() if FIELDS.get(name) in (list, dict) and value is not None]
    return record | {name: json.loads(record[name]) for name in texts} | more
