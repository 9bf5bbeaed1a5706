import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts.errors import Unsupported, UserError
from harness.model.cost import state_size
from harness.model.matching import nearest_width
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.training.execute import execute

SMALL = "standard:width=16,steps=2,validation_samples=16,test_samples=16,evaluate_every=2"


def model_of(architecture, match, scan="horizontal", width=16):
    cell = cell_from("locality2d", architecture, scan, f"standard:width={width},match={match}")
    return protocol_of(cell).build(cell, task_of(cell), seed=0)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


@given(st.integers(1, 4096), st.integers(1, 500), st.sampled_from([1, 2]))
def test_no_other_width_is_nearer(wanted, factor, power):
    def size(width):
        return factor * width**power

    found = nearest_width(size, wanted)
    assert found % 4 == 0
    distances = {width: abs(math.log(size(width) / wanted)) for width in range(4, 4097, 4)}
    assert distances[found] == min(distances.values())


def test_widths_that_heads_do_not_divide_are_passed_over():
    def size(width):
        if width % 8:
            raise UserError("heads")
        return width

    assert nearest_width(size, 52) in (48, 56)


def test_what_cannot_be_reached_is_said():
    with pytest.raises(UserError, match="at width 4096"):
        nearest_width(lambda width: width, 10_000)


@pytest.mark.parametrize("architecture", ["gated-ssm", "lstm", "global-attention", "mamba2", "hybrid", "mean-pool"])
def test_parameters_are_those_of_mamba_within_a_step_of_width(architecture):
    wanted = parameters(model_of("mamba", "width", width=64))
    assert parameters(model_of(architecture, "parameters", width=64)) == pytest.approx(wanted, rel=0.1)


def test_the_reference_keeps_its_width():
    for match in ("parameters", "state"):
        assert model_of("mamba", match).embed.out_features == 16


@pytest.mark.parametrize("architecture", ["gated-ssm", "retnet", "s4d", "linear-attention"])
def test_states_are_those_of_mamba(architecture):
    wanted = state_size(model_of("mamba", "width"))
    assert state_size(model_of(architecture, "state")) == pytest.approx(wanted, rel=0.25)


def test_several_routes_share_the_parameters_and_the_state_of_one():
    both = model_of("gated-ssm", "parameters", "bidirectional:own_parameters=true")
    assert parameters(both) == pytest.approx(parameters(model_of("gated-ssm", "parameters")), rel=0.1)
    assert both.embed.out_features < model_of("gated-ssm", "parameters").embed.out_features
    assert state_size(model_of("mamba", "state", "bidirectional")) < 1.3 * state_size(model_of("mamba", "width"))


def test_what_has_no_state_is_unsupported_with_a_cure():
    with pytest.raises(Unsupported, match="no state of a fixed size; compare it under"):
        model_of("global-attention", "state")
    record = execute(Run(cell=cell_from("locality2d", "local-attention", "horizontal", f"{SMALL},match=state"), seed=0))
    assert record["status"] == "unsupported"


def test_the_record_has_the_width():
    widths = {}
    for match in ("width", "parameters"):
        cell = cell_from("locality2d", "gated-ssm", "horizontal", f"{SMALL},match={match}")
        record = execute(Run(cell=cell, seed=0))
        assert record["status"] == "done"
        widths[match] = record["width"]
    assert widths["width"] == 16 and widths["parameters"] > 16


def test_an_unmatched_model_is_initialized_as_before():
    # The shape decides the seeds of the initialization: naming match there would change every model.
    assert protocol_of(cell_from("digits", "lstm", "horizontal", "standard")).shape == (
        "standard:depth=1,width=32,expansion=2"
    )
