"""What the harness's own training loop costs over the same steps written bare: at most 3% is the aim.

    python -m pytest tests/benchmarks/test_overhead.py --benchmark-only

The two take turns step by step, in one process: whatever slows the machine slows both. `ratio` in the printed columns
of extra information (and in --benchmark-json) is the median over steps of the harness's processor time over the bare
loop's, with a 95% interval of that median. Both start from one initialization and see the same batches: they must end
with the same parameters.
"""

import statistics
import time
from collections.abc import Iterator

import pytest
import torch
from scipy.stats import quantile_test
from torch.nn import functional

from harness.registry.cells import cell_from, protocol_of, task_of
from harness.training.data import Data
from harness.training.standard.loop import Learner, train
from harness.training.standard.outcome import Replica

ROUNDS, WARMUP_STEPS = 3, 5
SAMPLES = "train_samples=512,batch_size=64,validation_samples=64,test_samples=64"
CASES = {
    "smallest": ("4", "mean-pool", 300),
    "small": ("8", "gated-ssm", 150),
    "default": ("16", "local-attention", 60),
}
"""Side of the grid, architecture, steps a round."""


class Case:
    """One cell, both ways to train it, and the seconds that every step took either way."""

    def __init__(self, side: str, architecture: str, steps: int):
        protocol = f"standard:steps={steps},evaluate_every={steps},{SAMPLES}"
        self.cell = cell_from(f"locality2d:height={side},width={side}", architecture, "horizontal", protocol)
        self.protocol = protocol_of(self.cell)
        self.task = task_of(self.cell)
        self.harness_seconds: list[float] = []
        self.bare_seconds: list[float] = []

    def start(self):
        data = Data(self.task, spec=self.cell.task, seed=0, device="cpu")
        return self.protocol.build(self.cell, self.task, seed=0), data

    def bare(self, model, data) -> Iterator[None]:
        """What a script would write, with the same data; a step at a time."""
        optimizer = self.protocol.make_optimizer(model)
        rate = self.protocol.learning_rate
        batches = data.train_parts(count=512, batch_size=64, steps=self.protocol.steps)
        for step, (tokens, target, _) in enumerate(map(next, batches)):
            for group in optimizer.param_groups:
                group["lr"] = rate * self.protocol.lr_multiplier(step)
            loss = functional.cross_entropy(model(tokens), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), self.protocol.clip)
            optimizer.step()
            yield

    def both(self):
        """Train both ways, a step of the one after a step of the other, and return the two models."""
        (model, data), (bare_model, bare_data) = self.start(), self.start()
        bare_steps = self.bare(bare_model, bare_data)
        harness_seconds, bare_seconds = [], []
        began = time.process_time()

        def after_a_step(*_):
            nonlocal began
            harness_seconds.append(time.process_time() - began)
            began = time.process_time()
            next(bare_steps)
            bare_seconds.append(time.process_time() - began)
            began = time.process_time()

        train(Learner(model, self.protocol), [Replica(data=data, report=after_a_step)], self.protocol)
        # The first steps warm up, after making the data; the last of the harness's holds an evaluation.
        self.harness_seconds += harness_seconds[WARMUP_STEPS:-1]
        self.bare_seconds += bare_seconds[WARMUP_STEPS:-1]
        return model, bare_model


@pytest.mark.parametrize("name", CASES)
def test_training_loop(benchmark, name):
    torch.set_num_threads(1)
    case = Case(*CASES[name])
    steps = case.protocol.steps
    benchmark.group = f"harness and bare loop, step by step in turn, {steps} steps each; ms: both, with making the data"
    model, bare_model = benchmark.pedantic(case.both, rounds=ROUNDS)
    ends = model.state_dict(), bare_model.state_dict()
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    ratios = [a / b for a, b in zip(case.harness_seconds, case.bare_seconds, strict=True)]
    ratio = statistics.median(ratios)
    low, high = quantile_test(ratios, p=0.5).confidence_interval(0.95)
    benchmark.extra_info.update(
        ratio=ratio,
        ratio_interval=[low, high],
        harness_seconds=case.harness_seconds,
        bare_seconds=case.bare_seconds,
        cell=[case.cell.task, case.cell.architecture],
        shape=[64, case.task.cells, case.protocol.width],
        kernel=model.kernel,
        tokens_per_second=64 * case.task.cells / statistics.median(case.harness_seconds),
    )
    print(f"\n{name}: harness over bare {ratio:.3f} (95% interval {low:.3f} to {high:.3f}), {len(ratios)} steps")
