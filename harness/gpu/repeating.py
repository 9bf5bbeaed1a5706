"""How far a run lies from itself, and a GPU's run from a CPU's."""

from __future__ import annotations

from dataclasses import replace

from harness.analysis.reproducibility import COMPARED
from harness.contracts.outcome import Status
from harness.store.record import Record
from harness.training.execute import execute

from .bench import Bench
from .cells import TRAINED, TRAINING, runs
from .pieces import Row, Rows, piece

CPU_TOLERANCE = {"float32": 2e-4, "tf32": 1e-3, "bfloat16": 5e-3}
"""Largest difference of test losses from a CPU's run in float32 after 20 steps from the same start on the same data."""


@piece("noise-floor", title="the same run again and again", minutes=5, modules=TRAINING)
def noise_floor(bench: Bench) -> Rows:
    """Spread of scores over repetitions of one run: a measurement on a GPU, nothing on a CPU."""
    for architecture in bench.pick(TRAINED, ("gated-ssm", "global-attention")):
        for dtype in bench.pick(bench.dtypes, ("float32",)):
            (run,) = runs(architecture, 1, bench, dtype=dtype, steps=bench.pick(200, 10))
            records = [execute(run) for _ in range(bench.pick(4, 2))]
            case = f"{architecture} {dtype}, {len(records)} times"
            failed = [record for record in records if record["status"] != Status.DONE]
            if failed:
                yield Row(case=case, passed=False, found=str(failed[0]["reason"]))
                continue
            facts = {f"{name}_spread": _spread(records, name) for name in COMPARED}
            widest = max(facts.values())
            found = f"test loss spreads over {facts['test_loss_spread']:.1e}, accuracy over "
            found += f"{facts['test_accuracy_spread']:.4f}"
            yield Row(case=case, passed=None if bench.is_gpu else widest == 0.0, found=found, facts=facts)


@piece("gpu-and-cpu", title="a GPU's training against a CPU's", minutes=3, modules=TRAINING)
def gpu_and_cpu(bench: Bench) -> Rows:
    """The same run on the device and on the CPU: one start, the same batches, 20 steps."""
    for architecture in bench.pick(TRAINED, ("gated-ssm", "min-gru")):
        (plain,) = runs(architecture, 1, bench)
        there = execute(replace(plain, device="cpu"))
        for dtype in bench.dtypes:
            here = execute(replace(plain, dtype=dtype))
            case = f"{architecture} {dtype}"
            if {here["status"], there["status"]} != {Status.DONE}:
                yield Row(case=case, passed=False, found=str(here.get("reason") or there.get("reason")))
                continue
            difference = abs(here["test_loss"] - there["test_loss"])
            found = f"test loss {here['test_loss']:.4f}, CPU {there['test_loss']:.4f}; {here['kernel']}"
            passed = difference <= CPU_TOLERANCE[dtype]
            yield Row(case=case, passed=passed, found=found, facts={"loss_difference": difference})


def _spread(records: list[Record], name: str) -> float:
    values = [record[name] for record in records if record.get(name) is not None]
    return max(values) - min(values) if values else 0.0
