"""Mamba: the package's block and the plain one are the same, and importing the package leaves no trace."""

import copy
import subprocess
import sys

import pytest
import torch

from harness.architectures.layers.mamba import MambaBlock, run_block
from harness.architectures.layers.mamba_package import (
    _convolution_for_any_device,
    _scan_for_any_device,
    load_privately,
    mamba_package,
)
from harness.architectures.ops.selective_scan import last_path, selective_scan_reference
from harness.contracts.seeds import seeded_torch

needs_package = pytest.mark.skipif(mamba_package() is None, reason="mamba-ssm does not import here")
SIZES = [dict(d_model=16), dict(d_model=24, d_state=3, d_conv=2, expand=1), dict(d_model=8, d_conv=1, expand=3)]
each_size = pytest.mark.parametrize("size", SIZES, ids=str)


def theirs_and_ours(size, theirs_seed=0, ours_seed=0):
    blocks = []
    for build, seed in ((mamba_package().block, theirs_seed), (MambaBlock, ours_seed)):
        with seeded_torch(torch.Generator().manual_seed(seed)):
            blocks.append(build(**size))
    return blocks


def outputs_and_gradients(block, run, length=11):
    block.zero_grad()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, length, block.in_proj.in_features, generator=generator).requires_grad_()
    y = run(x)
    (y * torch.randn(y.shape, generator=generator)).sum().backward()
    return {"y": y, "x": x.grad, **{name: parameter.grad for name, parameter in block.named_parameters()}}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-6, msg=f"{name} differs")


@needs_package
@each_size
def test_one_seed_gives_the_same_initialization(size):
    theirs, ours = theirs_and_ours(size)
    assert [name for name, _ in theirs.named_parameters()] != []
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


@needs_package
@each_size
@pytest.mark.parametrize("direction", ["theirs into ours", "ours into theirs"])
def test_state_dicts_load_both_ways_with_the_same_outputs_and_gradients(size, direction):
    theirs, ours = theirs_and_ours(size, ours_seed=1)
    assert not torch.equal(theirs.in_proj.weight, ours.in_proj.weight)
    source, target = (theirs, ours) if direction == "theirs into ours" else (ours, theirs)
    target.load_state_dict(source.state_dict())
    assert_same(outputs_and_gradients(theirs, theirs), outputs_and_gradients(ours, ours))


@needs_package
@each_size
def test_both_agree_with_the_packages_reference_scan(size):
    reference = load_privately("mamba_ssm.ops.selective_scan_interface").selective_scan_ref
    for block in theirs_and_ours(size):
        expected = outputs_and_gradients(block, lambda x, block=block: run_block(block, x, reference))
        plain = outputs_and_gradients(block, lambda x, block=block: run_block(block, x, selective_scan_reference))
        assert_same(outputs_and_gradients(block, block), expected)
        assert_same(plain, expected)


@needs_package
def test_the_packages_block_runs_and_is_named(build, monkeypatch):
    mixer, x = build("mamba"), torch.randn(2, 5, 16, dtype=torch.float64)
    assert type(mixer.block).__module__ == "mamba_ssm.modules.mamba_simple"
    through_operators = mixer(x)
    monkeypatch.setenv("HARNESS_NO_CPP", "1")
    y = mixer(x)
    assert mixer.kernel == f"mamba-ssm {mamba_package().version}/{last_path()}"
    assert last_path() == "torch loop"
    torch.testing.assert_close(through_operators, y)
    assert torch.equal(copy.deepcopy(mixer).block.A_log, mixer.block.A_log)


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


BUILD = """
import sys, torch
from harness.registry import architectures
entry, values = architectures.parse("mamba")
mixer = entry.create(values, width=8, length=6, grid=(1, 6), generator=torch.Generator().manual_seed(0))
y = mixer(torch.ones(1, 6, 8))
"""


def test_without_the_package_the_plain_block_runs_and_is_named():
    code = f"""
import sys
sys.modules["mamba_ssm"] = None  # makes any import of it fail
{BUILD}
assert type(mixer.block).__name__ == "MambaBlock"
print(mixer.kernel, float(y.sum()))
"""
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    version = torch.__version__.partition("+")[0]
    assert result.stdout.startswith(tuple(f"torch {version}/selective scan {form} " for form in ("torch loop", "cpp")))


def test_importing_leaves_no_stand_in_behind_and_prints_nothing():
    code = f"""
{BUILD}
left = [name for name in sys.modules if name.split(".")[0] in ("mamba_ssm", "selective_scan_cuda", "transformers")]
print(left)
"""
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    try:
        import selective_scan_cuda  # noqa: F401
    except ImportError:
        assert result.stdout.strip() == "[]"


@needs_package
def test_what_others_imported_before_is_put_back():
    marker = object()
    before = {name: sys.modules.get(name) for name in ("mamba_ssm.modules", "mamba_ssm.modules.mamba_simple")}
    sys.modules["mamba_ssm.modules"] = marker
    try:
        assert load_privately("mamba_ssm.modules.mamba_simple").Mamba is not mamba_package().block
        assert sys.modules["mamba_ssm.modules"] is marker
        assert "mamba_ssm.modules.mamba_simple" not in sys.modules or before["mamba_ssm.modules.mamba_simple"]
    finally:
        del sys.modules["mamba_ssm.modules"]
        sys.modules.update({name: module for name, module in before.items() if module is not None})


def test_cuda_functions_are_left_alone_for_cuda_tensors_only():
    """On a machine with the extensions: CPU tensors take our scan and torch's convolution."""

    def cuda_only(*arguments, **options):
        raise AssertionError("called for CPU tensors")

    block = MambaBlock(8)
    x = torch.randn(2, 16, 5, generator=torch.Generator().manual_seed(0))
    convolved = _convolution_for_any_device(cuda_only)(
        x=x, weight=block.conv1d.weight[:, 0], bias=block.conv1d.bias, activation="silu"
    )
    torch.testing.assert_close(convolved, torch.nn.functional.silu(block.conv1d(x)[..., :5]))
    scan = _scan_for_any_device(cuda_only)
    ones = torch.ones(2, 3, 5)
    assert scan(ones, ones, -torch.ones(3, 4), torch.ones(2, 4, 5), torch.ones(2, 4, 5)).shape == (2, 3, 5)
    with pytest.raises(NotImplementedError):
        scan(ones, ones, -torch.ones(3, 4), torch.ones(2, 4, 5), torch.ones(2, 4, 5), return_last_state=True)
