"""Records that nobody ran, with a winner that is known."""

import numpy as np
import pytest

from harness.registry.cells import LrSelection, Run, cell_from
from harness.registry.routing import scan_from
from harness.reports.scan_orders.study import ORDERS, TRANSFER, protocol
from harness.store.provenance import source_of

TASKS = ("locality2d", "majority2d")
ARCHITECTURES = ("gated-ssm", "local-attention")
RATES = (0.001, 0.003, 0.01)
SELECTION = LrSelection(rates=(0.001, 0.003, 0.01), seeds=1)
CURVE = [0.0, 0.3, 0.6, 1.0]


def made(level, *, task="locality2d", architecture="gated-ssm", scan="horizontal", seed=0, spread=0.004, **more):
    """The record of a run that scored about `level`."""
    reading = TRANSFER if len(scan_from(scan)[2].orders) == 1 else ""
    cell = cell_from(task, architecture, scan, f"{protocol(transfer=reading)},learning_rate=0.003")
    one = Run(cell=cell, seed=seed, lr_selection=SELECTION)
    score = float(level + spread * np.random.default_rng([seed, len(scan), len(task)]).normal())
    return {
        "key": one.key, "cell": cell.key, "task": cell.task, "architecture": cell.architecture, "scan": cell.scan,
        "protocol": cell.protocol, "seed": seed, "device": "cpu", "dtype": "float32",
        "lr_selection": SELECTION.to_json(),
        "purpose": "final", "status": "done", "reason": None, "test_accuracy": score,
        "mean_validation_accuracy": score - 0.05,
        "steps_to_threshold": 100 if level > 0.75 else None, "steps": 300, "learning_rate": 0.003, "parameters": 10,
        "kernel": "torch 1/eager", "source": source_of(cell), "grid": [8, 8], "classes": 2, "chance_accuracy": 0.5,
        "threshold_accuracy": 0.75, "validation_accuracy": score, "test_train_ratio": 0.0,
        "started_at": "2026-01-01T00:00:00",
        "run_seconds": 10.0, "machine": "a machine", "commit": "abc", "torch_version": "2", "numpy_version": "2",
        "mamba_ssm_version": None, "dirty": False,
        "curve": {
            "step": [0, 100, 200, 300],
            "validation_accuracy": [0.5 + (score - 0.5) * share for share in CURVE],
        },
    } | more  # fmt: skip


def study(levels, *, seeds=10, tasks=TASKS, architectures=ARCHITECTURES, **more):
    """Records of every task, architecture and order; levels: order to its mean accuracy."""
    return [
        made(level, task=task, architecture=architecture, scan=scan, seed=seed, **more)
        for task in tasks
        for architecture in architectures
        for scan, level in levels.items()
        for seed in range(seeds)
    ]


WINNER = dict(zip(ORDERS, (0.8, 0.82, 0.9, 0.7, 0.65, 0.5), strict=True))
"""hilbert first, random at chance."""


@pytest.fixture(scope="session")
def winner():
    """A study that hilbert wins, with transfer, decays, tuning runs and speeds."""
    records = study(WINNER)
    names = {order: scan_from(order)[0] for order in ORDERS}
    for record in records:
        own = record["scan"]
        record["transfer"] = {name: record["test_accuracy"] if name == own else 0.55 for name in names.values()}
        gated = record["architecture"].startswith("gated-ssm")
        record["decay_quantiles"] = np.linspace(0.4, 0.95, 32).tolist() if gated else None
    tuning = [
        record | {"purpose": "tuning", "seed": 1_000_000, "learning_rate": rate, "validation_accuracy": 0.7 + rate}
        | {"protocol": record["protocol"].replace("learning_rate=0.003", f"learning_rate={rate}")}
        for record in records if record["seed"] == 0
        for rate in RATES
    ]  # fmt: skip
    return records + tuning


@pytest.fixture(scope="session")
def timings(winner):
    """A timing row a cell: hilbert costs a tenth more."""
    rows = []
    for record in winner:
        if record["purpose"] == "final" and record["seed"] == 0:
            slow = 1.1 if record["scan"] == "hilbert" else 1.0
            rows.append(
                {
                    "cell": record["cell"], "device": "cpu", "dtype": "float32", "session": "1", "routes": 1,
                    "step_seconds": 0.02 * slow, "forward_seconds": 0.005 * slow, "permutation_seconds": 0.001,
                    "mixer_seconds": 0.003, "train_tokens_per_second": 2e5 / slow, "forward_tokens_per_second": 8e5,
                    "peak_bytes": 2**20, "speed_note": None,
                }
            )  # fmt: skip
    return rows


@pytest.fixture(scope="session")
def make_study():
    """`study`, for tests that make records of their own."""
    return study
