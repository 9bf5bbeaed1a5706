"""The store: one SQLite file, one transaction a record, unique keys. Only finished records are written.

Several processes may share a store: SQLite's write-ahead log lets them read while one writes, and a writer waits its
turn. Killing a writer loses at most the record it had not yet written.

Long because one class owns the file: it opens it, checks it, writes this schema and reads both.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.contracts.errors import UserError

from .locks import missing_locks
from .packing import SHARED_PARTS, Layout, LightRecord, Shared, shared_from, split, without_collector
from .record import Record, upgrade

SCHEMA_VERSION = 2
APPLICATION_ID = 0x5C4A17  # marks the file as a store, so that a foreign database is refused
WAIT_SECONDS = 60.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, purpose TEXT NOT NULL, status TEXT NOT NULL, light TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS heavy (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS shared (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS timings (
    id INTEGER PRIMARY KEY, session TEXT NOT NULL, cell TEXT NOT NULL, setting TEXT NOT NULL, record TEXT NOT NULL,
    UNIQUE (session, cell, setting)
) STRICT;
"""
"""`light` is a JSON list: ids of the shared parts, then the run's own values (see `packing`). Schema 1 had the whole
record as one text in runs; such a file is read as it is, and brought to this schema when it is opened for writing."""


class Store:
    """Records of runs and of timing sessions in one file.

    Args:
        path: the file; made when it is not there, unless `create` is false.
        made_by: the command that makes it, for the advice where it is missing.

    Raises:
        UserError: not a store, a store of a newer harness, a folder that cannot be written, a file system without
            locks.
    """

    def __init__(
        self, path: str | Path, *, create: bool = True, read_only: bool = False, made_by: str = "run --store {path}"
    ):
        self.path = Path(path)
        self._closed = False
        self._shared = _SharedParts(self)
        if (read_only or not create) and not self.path.exists():
            command = made_by.replace("{path}", str(path))
            raise UserError(f"store {str(path)!r} does not exist; make one with: python -m harness {command}")
        if self.path.is_dir():
            raise UserError(f"store {str(path)!r} is a folder; give a file, results.sqlite say")
        if not self.path.parent.is_dir():
            raise UserError(f"store {str(path)!r}: the folder {str(self.path.parent)!r} does not exist; make it first")
        reason = None if read_only else missing_locks(self.path.parent)
        if reason:
            raise self._without_locks(reason)
        try:
            self._connection = self._read_only() if read_only else self._connect(str(self.path))
            self._check_schema()
            if not read_only:
                self._prepare()
                self._file = self.path.stat().st_ino
        except sqlite3.DatabaseError as error:
            raise UserError(f"store {str(path)!r} cannot be used: {error}; give another file with --store") from error

    def _without_locks(self, reason: str) -> UserError:
        return UserError(
            f"store {str(self.path)!r}: its file system does not lock files as several writers need it ({reason}); keep"
            " the store on a local disk, give one with --store, and copy it when the runs are done"
        )

    @staticmethod
    def _connect(target: str) -> sqlite3.Connection:
        uri = target.startswith("file:")
        return sqlite3.connect(target, timeout=WAIT_SECONDS, isolation_level=None, uri=uri)

    def _read_only(self) -> sqlite3.Connection:
        """A connection that never writes, in a folder that cannot be written either."""
        target = f"file:{quote(str(self.path.resolve()))}"
        connection = self._connect(f"{target}?mode=ro")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
            return connection
        except sqlite3.OperationalError:
            # Reading needs the log's side files; where they cannot be made, nobody can be writing either.
            connection.close()
            return self._connect(f"{target}?immutable=1")

    def _check_schema(self) -> None:
        self._connection.execute("BEGIN")  # one view of the file: another process may be making it just now
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = self._connection.execute("PRAGMA application_id").fetchone()[0]
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        self._connection.execute("COMMIT")
        foreign = application != APPLICATION_ID and (application != 0 or tables > 0)
        if foreign:
            raise UserError(
                f"store {str(self.path)!r} is a database of another program; give another file with --store"
            )
        if version > SCHEMA_VERSION:
            raise UserError(
                f"store {str(self.path)!r} has schema {version}, this harness reads up to {SCHEMA_VERSION};"
                " update the harness or give another file with --store"
            )
        self._version = version

    def _prepare(self) -> None:
        self._use_write_ahead_log()
        self._connection.execute("PRAGMA synchronous = FULL")  # a record counts as finished once it is on the disk
        if self._version < SCHEMA_VERSION:
            with self._transaction():
                self._migrate()
        else:
            self._connection.execute("DELETE FROM runs WHERE false")  # a read-only file says so now, not after a run

    def _migrate(self) -> None:
        """Bring the file to today's schema, within a transaction; another process may have done so just before."""
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 1:
            self._connection.execute("ALTER TABLE runs RENAME TO runs_of_schema_1")
        for statement in SCHEMA.split(";"):
            self._connection.execute(statement)
        if version == 1:
            old = self._connection.execute("SELECT record FROM runs_of_schema_1 ORDER BY rowid")
            self._insert(json.loads(row[0]) for row in old)
            self._connection.execute("DROP TABLE runs_of_schema_1")
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._version = SCHEMA_VERSION

    def _use_write_ahead_log(self) -> None:
        """Switch the log on; SQLite's own waiting does not cover this statement when several processes make a file."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                (mode,) = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        if mode != "wal":  # no error: SQLite goes on without, and readers would block the writer
            raise self._without_locks(f"SQLite's journal mode stays {mode!r}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if hasattr(self, "_file") and not (self.path.exists() and self.path.stat().st_ino == self._file):
            raise UserError(
                f"store {str(self.path)!r} was deleted or replaced while it was in use; what came since is lost,"
                " start the same command again"
            )
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise OSError(
                f"store {str(self.path)!r} cannot be written: {error}; what was finished before is safe, free some"
                " space or mend its folder and start the same command again"
            ) from error

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one run's record; a record with the same key is replaced."""
        self.write_many([record])

    def write_many(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write several records in one transaction, all or none."""
        with self._transaction():
            self._insert(records)

    def _insert(self, records: Iterable[Mapping[str, Any]]) -> None:
        ids: dict[str, int] = {}
        for record in map(upgrade, records):
            key, (texts, own, heavy) = record["key"], split(record)
            for text in texts:
                if text not in ids:
                    self._connection.execute("INSERT OR IGNORE INTO shared (text) VALUES (?)", (text,))
                    found = self._connection.execute("SELECT id FROM shared WHERE text = ?", (text,))
                    ids[text] = found.fetchone()[0]
            light = json.dumps([*(ids[text] for text in texts), *own], separators=(",", ":"))
            self._connection.execute("DELETE FROM heavy WHERE id = (SELECT id FROM runs WHERE key = ?)", (key,))
            written = self._connection.execute(
                "INSERT OR REPLACE INTO runs (key, purpose, status, light) VALUES (?, ?, ?, ?)",
                (key, record["purpose"], record["status"], light),
            )
            if heavy is not None:
                self._connection.execute("INSERT INTO heavy (id, text) VALUES (?, ?)", (written.lastrowid, heavy))

    def write_timings(self, records: Iterable[dict[str, Any]]) -> None:
        """Write the rows of one timing session, all or none."""
        rows = [(r["session"], r["cell"], r["setting"], json.dumps(r)) for r in records]
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO timings (session, cell, setting, record) VALUES (?, ?, ?, ?)", rows
            )

    def find(self, key: str) -> Record | None:
        """The record under a key, or None."""
        if self._closed:  # a light record asks for its curves after the pages' store was closed
            with Store(self.path, read_only=True) as store:
                return store.find(key)
        return next(self._whole("WHERE runs.key = ?", key), None)

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """Status by key of those runs that are there, without reading the records."""
        rows = (
            (key, self._connection.execute("SELECT status FROM runs WHERE key = ?", (key,)).fetchone()) for key in keys
        )
        return {key: row[0] for key, row in rows if row is not None} if self._schema() else {}

    def find_many(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The records that are there, by key."""
        found = ((key, self.find(key)) for key in keys)
        return {key: record for key, record in found if record is not None}

    def keys_like(self, prefix: str) -> list[str]:
        """Keys that begin with `prefix`."""
        escaped = prefix.replace("%", "").replace("_", "")
        return [row[0] for row in self._connection.execute("SELECT key FROM runs WHERE key LIKE ?", (escaped + "%",))]

    def records(self, *, tuning: bool = False) -> list[Record]:
        """All records in the order they were written, complete with their curves; tuning runs on request."""
        return list(self._whole(_where(tuning)))

    def runs(self, *, tuning: bool = False) -> list[LightRecord]:
        """The same without curves and other long parts, which each reads when they are asked for: little memory."""
        with without_collector():
            return [run for run, _ in self.runs_and_heavy(tuning=tuning, heavy=False)]

    def runs_and_heavy(self, *, tuning: bool = False, heavy: bool = True) -> Iterator[tuple[LightRecord, str | None]]:
        """Light records one by one, each with its heavy part as a JSON text (None where there is none, or unasked)."""
        if self._schema() == 1:
            shared = Shared()
            for record in self._whole(_where(tuning)):
                yield shared.light(record, self.find), split(record)[2]
            return
        for parts, text in self._select(_where(tuning), heavy=heavy):
            yield LightRecord(parts, self.find), text

    def _whole(self, where: str, *values: str) -> Iterator[Record]:
        if self._schema() == 1:
            for row in self._connection.execute(f"SELECT record FROM runs {where} ORDER BY rowid", values):
                yield upgrade(json.loads(row[0]))
            return
        for parts, text in self._select(where, *values, heavy=True):
            yield LightRecord(parts, self.find).light() | (json.loads(text) if text else {})

    def _select(self, where: str, *values: str, heavy: bool) -> Iterator[tuple[list[Any], str | None]]:
        """Layout, shared parts and own values of each run, and its heavy part's text."""
        if self._schema() == 0:
            return  # a file that was begun and never written
        column, join = ("heavy.text", "LEFT JOIN heavy ON heavy.id = runs.id") if heavy else ("NULL", "")
        rows = self._connection.execute(f"SELECT light, {column} FROM runs {join} {where} ORDER BY runs.id", values)
        shared = self._shared.__getitem__
        while some := rows.fetchmany(1000):
            # One call for many short texts: half of what a call for each takes.
            for parts, (_, text) in zip(json.loads(f"[{','.join(row[0] for row in some)}]"), some, strict=True):
                parts[:SHARED_PARTS] = map(shared, parts[:SHARED_PARTS])
                yield parts, text

    def _schema(self) -> int:
        """The file's schema now: a process that writes may have raised it since this one opened it to read."""
        if self._version < SCHEMA_VERSION:
            self._version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        return self._version

    def timings(self) -> list[dict[str, Any]]:
        """All rows of all timing sessions, oldest first."""
        if self._schema() == 0:
            return []
        return [json.loads(row[0]) for row in self._connection.execute("SELECT record FROM timings ORDER BY id")]

    def close(self) -> None:
        self._closed = True
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SharedParts(dict[int, Layout | dict[str, Any]]):
    """Shared parts by their ids, each read when it is first met; one never changes once it is written."""

    def __init__(self, store: Store):
        self._store = store

    def __missing__(self, number: int) -> Layout | dict[str, Any]:
        row = self._store._connection.execute("SELECT text FROM shared WHERE id = ?", (number,)).fetchone()
        self[number] = shared_from(row[0])
        return self[number]


def _where(tuning: bool) -> str:
    return "" if tuning else "WHERE runs.purpose = 'final'"
