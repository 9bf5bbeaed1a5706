"""A run that does not fit, and what the process is worth afterwards."""

from __future__ import annotations

from dataclasses import replace

from harness.contracts.outcome import Status
from harness.registry.cells import cell_from
from harness.training.execute import execute

from .bench import Bench
from .cells import TRAINING, runs
from .pieces import Row, Rows, piece

MORE_BYTES = 256 * 2**20
LEFT_BEHIND = 64 * 2**20
"""Bytes that may stay allocated after a run that did not fit: cuBLAS keeps a workspace for other shapes."""


@piece("out-of-memory", title="a run that does not fit is recorded, and the next one runs", minutes=1, modules=TRAINING)
def out_of_memory(bench: Bench) -> Rows:
    """A run, then one that needs more than the process may have, then the first one again."""
    (run,) = runs("gated-ssm", 1, bench)
    before = execute(run)
    yield Row(case="a run before", passed=before["status"] == Status.DONE, found=_said(before))
    allocated = bench.allocated()
    text = "standard:steps=2,batch_size=8192,width=256,validation_samples=16,test_samples=16"
    large = replace(run, cell=cell_from("locality2d:height=16,width=16", "global-attention", "hilbert", text))
    with bench.scarce_memory(MORE_BYTES):
        failed = execute(large)
    yield Row(case="a run that does not fit", passed=failed["status"] == Status.OUT_OF_MEMORY, found=_said(failed))
    left = bench.allocated() - allocated
    found = f"{left:,} bytes stay allocated"
    yield Row(case="what it leaves behind", passed=left <= LEFT_BEHIND if bench.is_gpu else None, found=found)
    after = execute(run)
    yield Row(case="the first run again", passed=after["status"] == Status.DONE, found=_said(after))


def _said(record: dict) -> str:
    if record["status"] == Status.DONE:
        return f"test loss {record['test_loss']:.6f}"
    return f"{record['status']}: {record.get('reason')}"
