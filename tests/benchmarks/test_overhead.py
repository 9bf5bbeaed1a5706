"""What the harness's own training loop costs over the same steps written bare: at most 3% is the aim.

    python -m pytest tests/benchmarks/test_overhead.py --benchmark-only

`ratio` in the printed columns of extra information (and in --benchmark-json) is the median over rounds of harness
seconds over bare seconds; in every round the two run one after the other, in turn first, so that a busy machine slows
both. Both start from one initialization and see the same batches: they must end with the same parameters.
"""

import statistics
import time

import pytest
import torch
from torch.nn import functional

from harness.build import build_model
from harness.cells import cell_from, protocol_of, task_of
from harness.data import Data
from harness.train import evaluate, make_optimizer, rate_at, train

STEPS = 40
SAMPLES = "train_samples=512,batch_size=64,validation_samples=64,test_samples=64"
PROTOCOL = f"standard:steps={STEPS},evaluate_every={STEPS},{SAMPLES}"
CASES = {"smallest": ("4", "mean-pool"), "small": ("8", "gated-ssm"), "default": ("16", "local-attention")}


class Case:
    """One cell, and both ways to train it from its beginning."""

    def __init__(self, side: str, architecture: str):
        self.cell = cell_from(f"locality2d:height={side},width={side}", architecture, "horizontal", PROTOCOL)
        self.protocol = protocol_of(self.cell)
        self.task = task_of(self.cell)

    def start(self):
        data = Data(self.task, spec=self.cell.task, seed=0, device="cpu")
        return build_model(self.cell, self.task, self.protocol, seed=0), data

    def harness(self, model, data):
        train(model, data, self.protocol, lambda *_: None)

    def bare(self, model, data):
        """What a script would write, with the same data and the two evaluations that it also needs."""
        optimizer = make_optimizer(model, self.protocol)
        rate = self.protocol.learning_rate
        validation = data.evaluation("validation", self.protocol.validation_samples)
        evaluate(model, validation)
        for step, (tokens, target, _) in enumerate(data.train_batches(count=512, batch_size=64, steps=STEPS)):
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_at(step, self.protocol)
            loss = functional.cross_entropy(model(tokens), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), self.protocol.clip)
            optimizer.step()
        evaluate(model, validation)

    def seconds(self, way):
        model, data = self.start()
        began = time.perf_counter()
        way(model, data)
        return time.perf_counter() - began, model


@pytest.mark.parametrize("name", CASES)
def test_training_loop(benchmark, name):
    torch.set_num_threads(1)
    case = Case(*CASES[name])
    own_model, bare_model = (case.seconds(way)[1] for way in (case.harness, case.bare))  # warms up, too
    ends, kernel = (own_model.state_dict(), bare_model.state_dict()), own_model.kernel
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    bare, own = [], []

    def harness_and_bare():
        ways = [(case.harness, own), (case.bare, bare)]
        for way, samples in ways if len(own) % 2 else reversed(ways):
            samples.append(case.seconds(way)[0])

    benchmark.group = f"harness and bare loop, {STEPS} steps each, one after the other; ms: both together"
    benchmark.pedantic(harness_and_bare, rounds=15)
    ratios = [a / b for a, b in zip(own, bare, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    benchmark.extra_info.update(
        ratio=statistics.median(ratios),
        ratio_quartiles=[low, high],
        harness_seconds=own,
        bare_seconds=bare,
        cell=[case.cell.task, case.cell.architecture],
        shape=[64, case.task.cells, case.protocol.width],
        kernel=kernel,
        tokens_per_second=STEPS * 64 * case.task.cells / statistics.median(own),
    )
    print(f"\n{name}: harness over bare {statistics.median(ratios):.3f} (quartiles {low:.3f} to {high:.3f})")
