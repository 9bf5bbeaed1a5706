"""The store while writers are killed and disks run full: nothing finished is lost, nothing doubled, the file intact."""

import os
import random
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import pytest

from harness.contracts.errors import UserError
from harness.store.store import Store

WRITERS = 4
WRITER = """
import sys
from harness.store.store import Store
name, path, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store(path) as store:
    for number in range(first, 1_000_000):
        store.write({"key": f"{name}-{number}", "cell": "c", "purpose": "final", "seed": number, "status": "done",
                     "source": "s", "filling": "x" * 3000})
        print(number, flush=True)  # what a writer has said is finished must be there for good
"""


class Writer:
    """A process that writes one record after another and says so after each."""

    def __init__(self, name, path):
        self.name, self.path, self.last = name, path, -1
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, self.name, str(self.path), str(self.last + 1)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()

    def listen(self):
        for line in self.process.stdout:
            if line.endswith("\n"):  # the last one may be cut
                self.last = int(line)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.listener.join()
        assert self.process.stderr.read() == ""
        self.process.stdout.close()
        self.process.stderr.close()


def fire_at(path, kills):
    moments = random.Random(0)
    writers = [Writer(f"writer{number}", path) for number in range(WRITERS)]
    for _ in range(kills):
        time.sleep(moments.uniform(0, 0.3))
        writer = moments.choice(writers)
        writer.kill()
        writer.start()
    deadline = time.monotonic() + 30
    while any(writer.last < 0 for writer in writers) and time.monotonic() < deadline:
        time.sleep(0.05)
    for writer in writers:
        writer.kill()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with Store(path, read_only=True) as store:
        found = [record["key"] for record in store.records()]
    assert len(found) == len(set(found))
    assert all(writer.last >= 0 for writer in writers)
    said = {f"{writer.name}-{number}" for writer in writers for number in range(writer.last + 1)}
    assert said <= set(found)
    assert len(set(found) - said) <= WRITERS + kills  # at most one a death that was written and not yet said


def test_writers_that_are_killed_lose_nothing_that_they_had_finished(tmp_path):
    fire_at(tmp_path / "r.sqlite", kills=8)


@pytest.mark.slow
def test_two_hundred_kills_of_four_writers_lose_and_double_nothing(tmp_path):
    fire_at(tmp_path / "r.sqlite", kills=200)


def test_a_full_disk_stops_with_one_line_and_keeps_what_was_finished(tmp_path):
    path = tmp_path / "r.sqlite"
    Store(path).close()

    def small_files_only():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    result = subprocess.run(
        [sys.executable, "-c", WRITER, "w", str(path), "0"],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=small_files_only,
    )
    assert result.returncode == 1
    assert "OSError: store" in result.stderr and "what was finished before is safe" in result.stderr
    said = [int(line) for line in result.stdout.split()]
    assert len(said) > 10
    with Store(path) as store:  # with room again, it goes on
        assert {record["seed"] for record in store.records()} >= set(said)
        store.write({"key": "more", "cell": "c", "purpose": "final", "seed": 1, "status": "done", "source": "s"})
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write whatever the mode says")
def test_a_read_only_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "r.sqlite"
    Store(path).close()
    path.chmod(stat.S_IRUSR)
    with pytest.raises(UserError, match="cannot be used: attempt to write a readonly database"):
        Store(path)
