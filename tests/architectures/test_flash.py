"""flash-linear-attention: where its kernels are taken, and (by Triton's interpreter) that they are our recurrences."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.architectures.layers import recurrence_mixer
from harness.architectures.ops import flash
from harness.architectures.ops.causal_conv import uncounted_conv_flops

# Operations of a step for 4 heads in a width of 32: of each head's state of keys x values.
MIXERS = {
    "linear-attention": ("chunk_simple_gla", 4 * 4 * 8 * 9),
    "gated-linear-attention": ("chunk_gla", 5 * 4 * 4 * 8),
    "retnet": ("chunk_simple_gla", 5 * 4 * 8 * 16),
    "gated-deltanet": ("chunk_gated_delta_rule", 7 * 4 * 8 * 16),
    "rwkv7": ("chunk_rwkv7", 9 * 4 * 8 * 8),
}
ALL_MIXERS = MIXERS | {"deltanet": ("chunk_delta_rule", 6 * 4 * 8 * 8)}  # which takes no float32: not interpreted


@pytest.fixture(scope="module")
def interpreted():
    """What interpreted_flash.py found, in a process of its own."""
    if importlib.util.find_spec("fla") is None or importlib.util.find_spec("triton") is None:
        pytest.skip("flash-linear-attention is not installed: pip install --no-deps fla-core flash-linear-attention")
    script = Path(__file__).with_name("interpreted_flash.py")
    result = subprocess.run([sys.executable, "-W", "ignore", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["blocks", "filled", "one step"])
@pytest.mark.parametrize("name", ["linear", "gated_linear", "retention", "gated_delta", "wkv7"])
def test_outputs_and_gradients_are_the_references(interpreted, name, shape):
    errors = interpreted["recurrences"][f"{name}, {shape}"]
    assert len(errors) >= (1 if shape == "one step" else 4)
    assert max(errors) < 2e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_in_the_kernels_is_its_reference_and_says_so(interpreted, name):
    op, flops = MIXERS[name]
    found = interpreted["mixers"][name]
    assert found["error"] < 2e-4
    assert found["kernel"] == f"flash-linear-attention 0.6.0/{op}"
    assert found["flops"] == 40 * flops


@pytest.mark.parametrize("name", ALL_MIXERS)
def test_what_is_chosen_is_recorded_and_counted(build, monkeypatch, name):
    mixer, x = build(name, width=32), torch.randn(2, 9, 32, dtype=torch.float64)
    plain, plain_flops = mixer(x), mixer.uncounted_flops(9)
    assert mixer.kernel.startswith("torch ")
    taken = []

    def run(queries, keys, values, *others):
        taken.append(values)
        return torch.zeros_like(values)

    found = dataclasses.replace(mixer.recurrence.flash, run=run)
    monkeypatch.setattr(type(mixer), "recurrence", dataclasses.replace(mixer.recurrence, flash=found))
    monkeypatch.setattr(flash.Flash, "serves", lambda *_: True)
    monkeypatch.setattr(recurrence_mixer, "flash_version", lambda: "0.6.0")
    assert not torch.equal(mixer(x), plain)
    assert len(taken) == 1
    assert mixer.kernel == f"flash-linear-attention 0.6.0/{ALL_MIXERS[name][0]}"
    convolution = uncounted_conv_flops(mixer.conv1d, 9) if "deltanet" in name else 0
    assert mixer.uncounted_flops(9) == 9 * ALL_MIXERS[name][1] + convolution
    monkeypatch.undo()
    assert torch.equal(mixer(x), plain) and mixer.uncounted_flops(9) == plain_flops


class OnCuda(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True  # type: ignore[assignment]


def tensor(dtype, channels=16, cuda=True):
    found = torch.zeros(1, 1, 8, channels, dtype=dtype)
    return found.as_subclass(OnCuda) if cuda else found


@pytest.fixture
def installed(monkeypatch):
    """As on a machine with CUDA and the package."""
    monkeypatch.setattr(flash, "flash_version", lambda: "0.6.0")
    monkeypatch.setattr(flash, "_refused_on_hopper", lambda: False)
    monkeypatch.setattr(flash, "is_batchedtensor", lambda _: False)


@pytest.mark.parametrize("entry", flash.FLASH, ids=lambda entry: entry.run.__name__)
def test_served_are_cuda_tensors_whose_format_the_kernels_keep(installed, entry):
    def serves(dtype, **changes):
        return entry.serves(tensor(dtype, **changes), tensor(dtype, cuda=changes.get("cuda", True)))

    assert serves(torch.bfloat16) and serves(torch.float16) and serves(torch.bfloat16, channels=256)
    assert not serves(torch.float64) and not serves(torch.float32)
    assert not serves(torch.bfloat16, cuda=False) and not serves(torch.bfloat16, channels=257)
    torch.set_float32_matmul_precision("high")
    try:
        assert serves(torch.float32) == (entry not in (flash.WKV7, flash.DELTA))
    finally:
        torch.set_float32_matmul_precision("highest")


def test_what_fla_refuses_on_a_gpu_stays_plain(installed, monkeypatch):
    monkeypatch.setattr(flash, "_refused_on_hopper", lambda: True)
    x = tensor(torch.bfloat16)
    assert [entry.run.__name__ for entry in flash.FLASH if not entry.serves(x, x)] == ["gated_delta"]


def test_without_the_package_or_under_vmap_nothing_is_served(installed, monkeypatch):
    x = tensor(torch.bfloat16)
    monkeypatch.setattr(flash, "is_batchedtensor", lambda _: True)
    assert not any(entry.serves(x, x) for entry in flash.FLASH)
    monkeypatch.undo()
    monkeypatch.setattr(flash, "flash_version", lambda: None)
    assert not any(entry.serves(x, x) for entry in flash.FLASH)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_cuda_there_is_no_version():
    assert flash.flash_version() is None
