"""The pieces themselves, at small sizes on a CPU: right where all is right, and wrong where something is."""

import math
from contextlib import nullcontext

import pytest
import torch

from harness.contracts.mixer import Mixer
from harness.gpu import agreement, memory, repeating, together
from harness.gpu.agreement import differences, judged_again
from harness.gpu.catalogue import all_pieces, choose
from harness.gpu.kernels import judged
from harness.gpu.mixers import Shape, families, inputs
from harness.registry import architectures

IN_SECONDS = ("environment", "cuda-graphs", "gpu-and-cpu", "steps", "speed-float32-4")


@pytest.mark.parametrize("name", IN_SECONDS)
def test_a_piece_finds_nothing_wrong_on_a_cpu(bench, name):
    (piece,) = choose([name])
    rows = list(piece.run(bench))
    assert rows and [row for row in rows if row.passed is False] == []
    assert len({row.case for row in rows}) == len(rows)


def test_every_architecture_has_its_piece():
    named = {name for _, names in families() for name in names}
    assert named == {entry.name for entry in architectures if entry.module.startswith("harness.")}
    titles = " ".join(piece.title for piece in choose(["architecture-"]))
    assert [name for name in named if name not in titles] == []
    swept = [piece.title for piece in choose(["speed-float32-"])]
    assert all(sum(name in title.partition(": ")[2].split(", ") for title in swept) == 1 for name in named)


def test_pieces_fit_their_time_and_cheap_ones_come_first():
    pieces = all_pieces()
    assert [piece.name for piece in pieces[:2]] == ["environment", "kernels"]
    assert max(piece.minutes for piece in pieces) <= 8


class Doubled(Mixer):
    """x w, with a fast path that errs by a factor in its output or in the gradient of w."""

    def __init__(self, output=1.0, gradient=1.0):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([1.5]))
        self.output, self.gradient = output, gradient

    def forward(self, x, mask=None, coords=None):
        w = self.w * self.gradient - self.w.detach() * (self.gradient - 1)
        return self.output * x * w

    def reference(self, x, mask=None, coords=None):
        return x * self.w


@pytest.mark.parametrize("padded", [False, True])
def test_a_wrong_output_and_a_wrong_gradient_of_a_parameter_are_seen(padded):
    given = inputs(Shape(batch=2, length=5, width=4, padded=padded), "cpu")
    output, gradients = differences(Doubled(), *given)
    assert output < 1e-6 and set(gradients) == {"x", "w"} and max(gradients.values()) < 1e-5
    output, gradients = differences(Doubled(output=1.01), *given)
    assert output == pytest.approx(0.01, rel=1e-3)
    output, gradients = differences(Doubled(gradient=1.5), *given)
    assert output < 1e-6 and gradients["x"] < 1e-6 and gradients["w"] == pytest.approx(0.5, rel=1e-3)


def test_a_mixer_that_breaks_or_errs_is_wrong_at_its_row_only(bench, monkeypatch):
    shape = Shape(batch=2, length=5, width=4)
    monkeypatch.setattr(agreement, "build", lambda *_: Doubled(output=1.01))
    row = agreement.check("x", shape, "float32", bench)
    assert row.passed is False and row.found.startswith("output 1e-02")
    monkeypatch.setattr(agreement, "build", lambda *_: 1 / 0)
    row = agreement.check("x", shape, "float32", bench)
    assert (row.passed, row.found) == (False, "ZeroDivisionError: division by zero")


def test_in_coarse_formats_what_the_plain_form_cannot_do_either_is_not_judged():
    assert judged_again(0.3, 0.3, 0.2, 0.2)[0] is None
    assert judged_again(0.3, 0.5, 0.2, 0.2)[0] is False
    assert judged_again(math.nan, 0.1, 0.2, 0.2)[0] is False


@pytest.mark.parametrize(
    ("name", "dtype", "kernel", "installed", "hopper", "passed"),
    [
        ("retnet", "bfloat16", "flash-linear-attention 0.6.0/chunk_simple_gla", {"fla-core": "0.6.0"}, False, True),
        ("retnet", "bfloat16", "torch 2.13.0/retention chunk 32", {"fla-core": "0.6.0"}, False, False),
        ("retnet", "bfloat16", "torch 2.13.0/retention chunk 32", {"fla-core": None}, False, None),
        ("retnet", "float32", "torch 2.13.0/retention chunk 32", {"fla-core": "0.6.0"}, False, None),
        ("gated-deltanet", "tf32", "torch 2.13.0/x", {"fla-core": "0.6.0", "triton": "3.7.0"}, True, None),
        ("gated-deltanet", "tf32", "torch 2.13.0/x", {"fla-core": "0.6.0", "triton": "3.7.1"}, True, False),
        ("mamba", "float32", "mamba-ssm 2.3.2.post1/torch loop", {"selective_scan_cuda": "built"}, False, False),
        ("mamba", "float32", "mamba-ssm 2.3.2.post1/mamba_inner_fn", {"selective_scan_cuda": "built"}, False, True),
        ("mean-pool", "tf32", "torch 2.13.0/eager", {}, True, None),
    ],
)
def test_a_plain_form_where_a_kernel_was_to_run_is_wrong(name, dtype, kernel, installed, hopper, passed):
    assert judged(name, dtype, kernel, installed, hopper)[0] is passed


def test_seeds_that_come_out_otherwise_together_are_wrong(bench, monkeypatch):
    honest = together.execute_together

    def spoiled(runs):
        return [record | {"test_loss": record["test_loss"] + 0.01} for record in honest(runs)]

    assert {row.passed for row in together.replicas(bench)} == {True}
    monkeypatch.setattr(together, "execute_together", spoiled)
    assert {row.passed for row in together.replicas(bench)} == {False}


def test_a_gpus_loss_that_is_not_the_cpus_is_wrong(bench, monkeypatch):
    honest, seen = repeating.execute, []

    def spoiled(run):
        seen.append(run)
        return honest(run) | {"test_loss": 0.6931 + 0.01 * (len(seen) % 3 == 2)}  # after the CPU's own, in float32

    monkeypatch.setattr(repeating, "execute", spoiled)
    assert [row.passed for row in repeating.gpu_and_cpu(bench)] == [False, True] * 2


def test_a_cpu_that_does_not_repeat_itself_is_wrong(bench, monkeypatch):
    honest, seen = repeating.execute, []

    def drifting(run):
        seen.append(run)
        return honest(run) | {"test_loss": 0.5 + 1e-9 * len(seen)}

    assert {row.passed for row in repeating.noise_floor(bench)} == {True}
    monkeypatch.setattr(repeating, "execute", drifting)
    assert {row.passed for row in repeating.noise_floor(bench)} == {False}


def test_paper_trials_are_held_to_their_tolerance(bench, monkeypatch):
    cell = (*together.TRIAL_CELL[:3], "paper:test_samples=20,validation_samples=16,samples=20,steps=4,learning_rate=2")
    monkeypatch.setattr(together, "TRIAL_CELL", cell)
    assert [row.passed for row in together.paper_trials(bench)] == [True, True, None]
    honest = together.execute
    monkeypatch.setattr(together, "execute", lambda run: honest(run) | {"test_loss": math.nan})
    assert [row.passed for row in together.paper_trials(bench)] == [True, False, None]


def test_a_step_that_is_not_replayed_is_not_judged(bench, monkeypatch):
    def refuse(function):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(together, "_stand_in", lambda count: refuse)
    rows = list(together.cuda_graphs(bench))
    assert {row.passed for row in rows} == {None}
    assert all("not permitted" in row.found for row in rows)


def test_a_run_that_does_not_fit_is_seen_and_survived(bench):
    rows = {row.case: row for row in memory.out_of_memory(bench)}
    assert rows["a run that does not fit"].passed, rows["a run that does not fit"].found
    assert rows["the first run again"].found == rows["a run before"].found


def test_memory_that_stays_allocated_on_a_gpu_is_wrong(bench, monkeypatch):
    counts = iter([0, 2 * memory.LEFT_BEHIND])
    monkeypatch.setattr(memory, "execute", lambda run: {"status": "done", "test_loss": 0.5})
    monkeypatch.setattr(type(bench), "is_gpu", True)
    monkeypatch.setattr(type(bench), "allocated", lambda self: next(counts))
    monkeypatch.setattr(type(bench), "scarce_memory", lambda self, count: nullcontext())
    rows = {row.case: row for row in memory.out_of_memory(bench)}
    assert rows["what it leaves behind"].passed is False
    assert rows["a run that does not fit"].passed is False  # it did fit
