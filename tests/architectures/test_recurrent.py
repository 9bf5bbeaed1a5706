"""LSTM and GRU: torch's own modules, their equations written out, and which of torch's implementations ran."""

import pytest
import torch
from torch.profiler import profile

from harness.contracts.seeds import seeded_torch

MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
each_name = pytest.mark.parametrize("name", MODULES)


def tokens(length, width=5, dtype=torch.float64):
    return torch.randn(2, length, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def gate_inputs(layer, x, h, gate, width):
    """The token's and the state's part of the `gate`th gate, from its own rows of the weights."""
    rows = slice(gate * width, (gate + 1) * width)
    token = torch.einsum("ij,bj->bi", layer.weight_ih_l0[rows], x) + layer.bias_ih_l0[rows]
    state = torch.einsum("ij,bj->bi", layer.weight_hh_l0[rows], h) + layer.bias_hh_l0[rows]
    return token, state


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


@pytest.mark.parametrize("length", [1, 2, 17])
def test_lstm_is_its_cell_step_by_step(build, length):
    mixer, x = build("lstm", width=5, perturbed=True), tokens(length)
    h = c = torch.zeros(2, 5, dtype=torch.float64)
    expected = []
    for step in range(length):
        i, f, g, o = (sum(gate_inputs(mixer.layer, x[:, step], h, gate, 5)) for gate in range(4))
        c = sigmoid(f) * c + sigmoid(i) * torch.tanh(g)
        h = sigmoid(o) * torch.tanh(c)
        expected.append(h)
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x), torch.stack(expected, dim=1), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("length", [1, 2, 17])
def test_gru_is_its_cell_step_by_step(build, length):
    mixer, x = build("gru", width=5, perturbed=True), tokens(length)
    h = torch.zeros(2, 5, dtype=torch.float64)
    expected = []
    for step in range(length):
        r, z = (sigmoid(sum(gate_inputs(mixer.layer, x[:, step], h, gate, 5))) for gate in range(2))
        token, state = gate_inputs(mixer.layer, x[:, step], h, 2, 5)
        h = (1 - z) * torch.tanh(token + r * state) + z * h
        expected.append(h)
    for run in (mixer, mixer.reference):
        torch.testing.assert_close(run(x), torch.stack(expected, dim=1), rtol=1e-12, atol=1e-13)


@each_name
def test_it_is_torchs_module_with_torchs_initialization(build, name):
    mixer = build(name, width=6, seed=3, dtype=torch.float32)
    with seeded_torch(torch.Generator().manual_seed(3)):
        module = MODULES[name](6, 6, batch_first=True)
    x = tokens(9, 6, torch.float32)
    assert torch.equal(mixer(x), module(x)[0])


def test_the_state_is_counted(build):
    assert build("lstm", width=12).state_size == 24
    assert build("gru", width=12).state_size == 12


@each_name
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_the_kernel_names_the_implementation_that_ran(build, name, dtype):
    mixer, x = build(name, width=8, dtype=dtype), tokens(6, 8, dtype)
    with profile() as profiler:
        mixer(x)
    onednn = any(event.key == "aten::mkldnn_rnn_layer" for event in profiler.key_averages())
    assert mixer.kernel.startswith("torch ") and mixer.kernel.endswith(f"/{name} {'onednn' if onednn else 'native'}")


@each_name
def test_under_autocast_it_stays_near_the_reference(build, name):
    mixer, x = build(name), tokens(60, 16)
    expected = mixer.reference(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = mixer.float()(x.float())
    assert (y.double() - expected).abs().max() < 0.05 * expected.abs().max()
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in mixer.parameters())
