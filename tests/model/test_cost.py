"""FLOPs a token and state size, against counts by hand."""

import math

import pytest

from harness.model.cost import mixing_cost
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.training.execute import execute

PROTOCOL = "standard:width=16,steps=2,batch_size=8,validation_samples=8,test_samples=8"
LENGTH = 64


def cost_of(architecture, scan="horizontal", batch=64):
    cell = cell_from("locality2d:height=8,width=8", architecture, scan, PROTOCOL)
    model = protocol_of(cell).build(cell, task_of(cell), seed=0)
    return mixing_cost(model, batch)


@pytest.mark.parametrize(
    "architecture, flops, state",
    [
        ("lstm", 2 * 2 * 4 * 16 * 16, 2 * 16),
        ("gru", 2 * 2 * 3 * 16 * 16, 16),
        ("min-gru", 2 * 2 * 16 * 16 + 4 * 16, 16),
        ("min-gru:expand=2", 3 * 2 * 32 * 16 + 4 * 32, 32),
        ("depthwise-conv", 2 * 4 * 16 + 2 * 16 * 16, 3 * 16),
        ("global-attention", 4 * 2 * 16 * 16 + 2 * 2 * LENGTH * 16, None),
        ("mean-pool", 0, None),
    ],
)
def test_a_mixers_products_are_counted_by_hand(architecture, flops, state):
    found = cost_of(architecture)
    assert found["flops_per_token"] == pytest.approx(flops) and found["state_size"] == state


def test_mambas_scan_is_counted_by_its_formula():
    inner, state, rank, taps = 32, 16, 1, 4
    products = (
        2 * 16 * 2 * inner + 2 * taps * inner + 2 * inner * (rank + 2 * state) + 2 * rank * inner + 2 * inner * 16
    )
    found = cost_of("mamba")
    # torch's convolution pads on both sides and drops what stands behind the end.
    extra = 2 * taps * inner * (taps - 1) / LENGTH
    assert found["flops_per_token"] - inner * (7 * state + 3) == pytest.approx(products, abs=extra + 1e-6)
    assert found["state_size"] == inner * (state + taps - 1)


def test_a_kernel_that_serves_the_whole_batch_is_shared_by_it():
    few, many = (cost_of("s4d", batch=batch)["flops_per_token"] for batch in (1, 10_000_000))
    transforms = 16 * (5 * 2 * math.log2(2 * LENGTH) + 3 * 2)
    assert many == pytest.approx(2 * 16 * 32 + transforms, rel=1e-4) and few > many


@pytest.mark.parametrize("architecture", ["gru", "mamba"])
def test_several_routes_cost_as_many_times_as_much(architecture):
    one, two = cost_of(architecture), cost_of(architecture, "horizontal+vertical")
    assert two["flops_per_token"] == pytest.approx(2 * one["flops_per_token"])
    assert two["state_size"] == 2 * one["state_size"]


def test_counting_changes_neither_the_model_nor_the_kernel_that_it_names():
    cell = cell_from("locality2d:height=4,width=4", "lstm", "hilbert", PROTOCOL)
    record = execute(Run(cell=cell, seed=0))
    assert "onednn" in record["kernel"] or "native" in record["kernel"]
    assert record["flops_per_token"] > 0 and record["state_size"] == 32


def test_a_mixer_that_cannot_be_counted_costs_no_run(monkeypatch):
    from harness.model import cost

    def broken(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(cost, "_counted", broken)
    assert cost_of("gru") == {"flops_per_token": None, "state_size": 16}
