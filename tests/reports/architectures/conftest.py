"""Records that nobody ran, with an order of architectures that is known."""

import numpy as np
import pytest

from harness.registry.cells import LrSelection, Run, cell_from
from harness.reports.architectures.study import PLACES
from harness.store.provenance import source_of

SELECTION = LrSelection(rates=(0.001, 0.003, 0.01), seeds=1)
LEVELS = {"mamba": 0.9, "lstm": 0.8, "gated-ssm": 0.7, "local-attention": 0.65, "mean-pool": 0.5}
STATES = {"mamba": 1216, "lstm": 64, "gated-ssm": 1024, "gru": 32}


def made(architecture, level, place, seed, **more):
    """The record of a run that scored about `level`."""
    task, scan, protocol = place
    rate = "" if "learning_rate" in protocol else ",learning_rate=0.003"
    cell = cell_from(task, architecture, scan, protocol + rate)
    score = float(level + 0.01 * np.random.default_rng([seed, len(architecture), len(task)]).normal())
    return {
        "key": Run(cell=cell, seed=seed, lr_selection=SELECTION).key, "cell": cell.key, "task": cell.task,
        "architecture": cell.architecture, "scan": cell.scan, "protocol": cell.protocol, "seed": seed, "device": "cpu",
        "dtype": "float32", "lr_selection": SELECTION.to_json(), "purpose": "final", "status": "done", "reason": None,
        "test_accuracy": score, "validation_accuracy": score, "mean_validation_accuracy": score - 0.05,
        "steps_to_threshold": 100 if level > 0.75 else None, "steps": 300, "learning_rate": 0.003, "parameters": 9000,
        "state_size": STATES.get(architecture), "flops_per_token": 1234.0, "width": 32, "kernel": "torch 1/eager",
        "source": source_of(cell), "grid": [1, 30] if task.startswith(("maj", "loc", "ass")) and "2d" not in task
        else [8, 8], "classes": 2, "chance_accuracy": 0.5, "test_train_ratio": 0.0, "started_at": "2026-01-01T00:00:00",
        "run_seconds": 10.0, "machine": "a machine", "commit": "abc", "torch_version": "2", "numpy_version": "2",
        "mamba_ssm_version": None, "dirty": False,
        "curve": {"step": [0, 300], "validation_accuracy": [0.5, score]},
    } | more  # fmt: skip


@pytest.fixture(scope="session")
def make_study():
    """Records of every architecture in every place."""

    def study(levels=LEVELS, *, places=PLACES, seeds=5, **more):
        return [
            made(architecture, level, place, seed, **more)
            for place in places
            for architecture, level in levels.items()
            for seed in range(seeds)
        ]

    return study


@pytest.fixture(scope="session")
def winner(make_study):
    """A study that mamba wins everywhere, with tuning runs."""
    records = make_study()
    tuning = [
        record | {"purpose": "tuning", "seed": 1_000_000, "learning_rate": rate, "validation_accuracy": 0.5 + 10 * rate}
        for record in records
        if record["seed"] == 0
        for rate in (0.001, 0.003, 0.01)
    ]
    return records + tuning


@pytest.fixture(scope="session")
def timings(winner):
    """Mamba at half the speed of the others."""
    rows = []
    for record in winner:
        if record["purpose"] == "final" and record["seed"] == 0:
            slow = 2.0 if record["architecture"].startswith("mamba") else 1.0
            samples = [0.02 * slow * factor for factor in (0.98, 0.99, 1, 1, 1, 1.01, 1.02, 1, 1)]
            rows.append(
                {
                    "cell": record["cell"], "device": "cpu", "dtype": "float32", "session": "1", "routes": 1,
                    "step_seconds": 0.02 * slow, "forward_seconds": 0.005 * slow, "permutation_seconds": 0.001,
                    "step_samples": samples, "train_tokens_per_second": 2e5 / slow, "forward_tokens_per_second": 8e5,
                    "peak_bytes": 2**20, "speed_note": None,
                }
            )  # fmt: skip
    return rows
