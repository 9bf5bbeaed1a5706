"""The store at scale: loading, summarizing and exporting 100,000 runs, against json.loads over their whole texts.

make benchmark, or: python -m pytest tests/benchmarks/test_store.py --benchmark-only
python tests/benchmarks/test_store.py 1000000        # one run of everything at another size, with memory
"""

import itertools
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from harness.registry.cells import FINAL, RECORD_VERSION, Cell, Run, cell_from
from harness.store.provenance import source_of
from harness.store.record import RECORD_SCHEMA
from harness.store.store import Store

COUNT = 100_000
TASKS = ("locality2d", "majority2d", "textures", "histology", "locality2d:height=16,width=16")
ARCHITECTURES = ("gated-ssm", "mamba", "gru", "lstm", "min-gru", "retnet", "s4d", "linear-attention", "mamba2", "rwkv7")
SCANS = (
    "horizontal",
    "vertical",
    "hilbert",
    "snake",
    "spiral",
    "morton",
    "diagonal",
    "peano",
    "window",
    "random:seed=1",
)


def records(count):
    """Records as a standard run of 500 steps leaves them: 500 cells, each with as many seeds as it takes."""
    draw = random.Random(0)
    cells = [cell_from(*texts, "standard") for texts in itertools.product(TASKS, ARCHITECTURES, SCANS)]
    sources = [source_of(cell) for cell in cells]
    for number in range(count):
        cell, source = cells[number % len(cells)], sources[number % len(cells)]
        yield record(cell, source, number // len(cells), draw)


def record(cell: Cell, source: str, seed: int, draw: random.Random):
    """A record of a cell with a seed; what a run's own numbers are is drawn."""
    run, steps = Run(cell=cell, seed=seed), list(range(0, 501, 25))
    scores = {
        name: draw.random()
        for name in (
            "test_accuracy",
            "test_loss",
            "validation_accuracy",
            "mean_validation_accuracy",
            "test_auc",
            "test_f1",
        )
    }
    return {
        "record_schema": RECORD_SCHEMA, "record_version": RECORD_VERSION, "key": run.key, "cell": cell.key,
        "task": cell.task, "architecture": cell.architecture, "scan": cell.scan, "protocol": cell.protocol,
        "versions": list(cell.versions), "seed": seed, "device": "cpu", "dtype": "float32", "threads": 1,
        "purpose": FINAL, "lr_selection": None, "replicas": 1, "cuda_graph": False, "training_note": None,
        "status": "done", "reason": None, "started_at": f"2026-01-01T00:{seed % 60:02}:00+00:00", "source": source,
        "commit": "77caf32c231f", "dirty": False, "harness_version": "0.1.0", "torch_version": "2.13.0+cpu",
        "mamba_ssm_version": "2.3.2.post1", "numpy_version": "2.4.6", "python_version": "3.11.7",
        "machine": "AMD EPYC", "deterministic": False, **scores, "threshold_accuracy": 0.75,
        "steps_to_threshold": draw.choice([None, 100, 250]), "steps": 500,
        "curve": {
            "step": steps,
            "validation_accuracy": [draw.random() for _ in steps],
            "train_loss": [draw.random() for _ in steps],
        },
        "learning_rate": 0.003, "parameters": 14818, "width": 32, "kernel": "mamba-ssm 2.3.2.post1/cpp",
        "flops_per_token": 24792.0, "state_size": 1216, "decay_quantiles": [draw.random() for _ in range(9)],
        "transfer": None, "test_samples": 2048, "grid": [8, 8], "classes": 2, "test_train_ratio": 0.0, "data": None,
        "chance_accuracy": 0.5, "order_blind_ceiling": 0.5041, "position_marginal_ceiling": 0.4972,
        "oracle_accuracy": 0.995, "run_seconds": 9 + draw.random(),
    }  # fmt: skip


def fill(path: Path, count: int) -> None:
    """Write a store, and the same records as whole texts, a line each, beside it."""
    with Store(path) as store, path.with_suffix(".jsonl").open("w") as lines:

        def both():
            for each in records(count):
                lines.write(json.dumps(each) + "\n")
                yield each

        store.write_many(both())


def multiply(path: Path, times: int) -> None:
    """Repeat all runs under other keys: for sizes that would take too long to write one by one."""
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute("SELECT max(id) FROM runs").fetchone()
        for number in range(1, times):
            key = f"printf('x%02d', {number}) || substr(key, 4)"
            connection.execute(
                f"INSERT INTO runs SELECT id + {number * count}, {key}, purpose, status, replace(light, key, {key})"
                f" FROM runs WHERE id <= {count}"
            )
            connection.execute(f"INSERT INTO heavy SELECT id + {number * count}, text FROM heavy WHERE id <= {count}")
    connection.close()
    text = path.with_suffix(".jsonl").read_text()
    with path.with_suffix(".jsonl").open("a") as lines:
        for _ in range(1, times):
            lines.write(text)


def whole_texts(path: Path) -> None:
    """What the others are measured against: json.loads once a record, nothing kept."""
    with path.with_suffix(".jsonl").open() as lines:
        for line in lines:
            json.loads(line)


def load(path: Path):
    """A DataFrame."""
    import harness

    return harness.load(path)


def summarize(path: Path):
    """Rows of tables: intervals, outcomes, staleness; tests between them depend on pairs of cells, not on runs."""
    from harness.analysis.summary import rows_of

    with Store(path, read_only=True) as store:
        found = rows_of(store.runs(), store.timings())
    for row in found:
        assert row.accuracy.n and row.aulc.n and row.steps_to_threshold and row.outcomes and not row.stale
    return found


def export(path: Path):
    """Parquet, curves included."""
    from harness.store.exchange import write_runs

    with Store(path, read_only=True) as store:
        return write_runs(store, path.with_suffix(".parquet"))


WORK = {work.__name__: work for work in (whole_texts, load, summarize, export)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "runs.sqlite"
    fill(path, COUNT)
    return path


@pytest.mark.parametrize("name", WORK)
def test_store(benchmark, path, name):
    benchmark.extra_info["bytes a run"] = round(1024 * memory(path, name) / COUNT)
    benchmark.pedantic(WORK[name], (path,), rounds=3, warmup_rounds=1)


def memory(path: Path, name: str) -> int:
    """KiB that a process needs for the work, over what a process needs that does it on 500 runs."""
    few = path.with_name("few.sqlite")
    if not few.exists():
        fill(few, 500)
    peaks = [
        int(subprocess.run([sys.executable, __file__, "peak", str(file), name], capture_output=True, check=True).stdout)
        for file in (few, path)
    ]
    return peaks[1] - peaks[0]


def main() -> None:
    """`peak STORE WORK`: a process's peak memory in KiB. `COUNT`: everything once at that size."""
    if sys.argv[1] == "peak":
        WORK[sys.argv[3]](Path(sys.argv[2]))
        status = Path("/proc/self/status").read_text()  # getrusage would count the parent's peak in
        print(status.partition("VmHWM:")[2].split()[0])
        return
    count = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.sqlite"
        fill(path, min(count, COUNT))
        multiply(path, max(1, count // COUNT))
        print(
            f"{count} runs: {path.stat().st_size / count:.0f} bytes a run on disk, "
            f"{path.with_suffix('.jsonl').stat().st_size / count:.0f} as whole texts"
        )
        seconds: dict[str, list[float]] = {name: [] for name in WORK}
        fill(path.with_name("few.sqlite"), 500)
        for work in WORK.values():
            work(path.with_name("few.sqlite"))  # imports, and what is kept in a process
        for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
            for name, work in WORK.items():  # in turn, so that other programs disturb all alike
                started = time.process_time()
                kept = work(path)
                seconds[name].append(time.process_time() - started)
                del kept
        base = sorted(seconds["whole_texts"])[len(seconds["whole_texts"]) // 2]
        for name, times in seconds.items():
            middle = sorted(times)[len(times) // 2]
            print(
                f"{name:12} {middle:7.2f} s of processor, {middle / base:5.2f} of json.loads,"
                f" {1024 * memory(path, name) / count:6.0f} bytes a run"
            )


if __name__ == "__main__":
    main()
