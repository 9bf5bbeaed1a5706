"""The store: one SQLite file, one transaction a record, unique keys. Only finished records are written.

Several processes may share a store: SQLite's write-ahead log lets them read while one writes, and a writer waits its
turn. Killing a writer loses at most the record it had not yet written.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .errors import UserError
from .file_locks import missing_locks

SCHEMA_VERSION = 1
APPLICATION_ID = 0x5C4A17  # marks the file as a store, so that a foreign database is refused
WAIT_SECONDS = 60.0
FINISHED = ("done", "diverged")
"""Statuses that a resumed study does not repeat; the others may end differently next time."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY, cell TEXT NOT NULL, purpose TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL,
    source TEXT NOT NULL, record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS runs_of_cell ON runs (cell);
CREATE TABLE IF NOT EXISTS timings (
    id INTEGER PRIMARY KEY, session TEXT NOT NULL, cell TEXT NOT NULL, setting TEXT NOT NULL, record TEXT NOT NULL,
    UNIQUE (session, cell, setting)
) STRICT;
CREATE INDEX IF NOT EXISTS timings_of_cell ON timings (cell);
"""


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
                for statement in SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._version = SCHEMA_VERSION
        else:
            self._connection.execute("DELETE FROM runs WHERE false")  # a read-only file says so now, not after a run

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

    def write(self, record: dict[str, Any]) -> None:
        """Write one run's record; a record with the same key is replaced."""
        row = [record[name] for name in ("key", "cell", "purpose", "seed", "status", "source")]
        with self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO runs (key, cell, purpose, seed, status, source, record)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, json.dumps(record)),
            )

    def write_timings(self, records: Iterable[dict[str, Any]]) -> None:
        """Write the rows of one timing session, all or none."""
        rows = [(r["session"], r["cell"], r["setting"], json.dumps(r)) for r in records]
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO timings (session, cell, setting, record) VALUES (?, ?, ?, ?)", rows
            )

    def find(self, key: str) -> dict[str, Any] | None:
        """The record under a key, or None."""
        row = self._connection.execute("SELECT record FROM runs WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """Status by key of those runs that are there, without reading the records."""
        rows = (
            (key, self._connection.execute("SELECT status FROM runs WHERE key = ?", (key,)).fetchone()) for key in keys
        )
        return {key: row[0] for key, row in rows if row is not None} if self._version else {}

    def find_many(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The records that are there, by key."""
        found = ((key, self.find(key)) for key in keys)
        return {key: record for key, record in found if record is not None}

    def keys_like(self, prefix: str) -> list[str]:
        """Keys that begin with `prefix`."""
        escaped = prefix.replace("%", "").replace("_", "")
        return [row[0] for row in self._connection.execute("SELECT key FROM runs WHERE key LIKE ?", (escaped + "%",))]

    def records(self, *, tuning: bool = False) -> list[dict[str, Any]]:
        """All records in the order they were written, tuning runs on request."""
        if self._version == 0:
            return []  # a file that was begun and never written
        where = "" if tuning else "WHERE purpose = 'final'"
        return [
            json.loads(row[0]) for row in self._connection.execute(f"SELECT record FROM runs {where} ORDER BY rowid")
        ]

    def timings(self) -> list[dict[str, Any]]:
        """All rows of all timing sessions, oldest first."""
        if self._version == 0:
            return []
        return [json.loads(row[0]) for row in self._connection.execute("SELECT record FROM timings ORDER BY id")]

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
