"""What a recipe may ask beyond the defaults: MLPs, warm-up, epochs, early stopping, rates of state space parameters."""

import pytest
import torch
from torch.nn import functional

from harness.contracts.errors import UserError
from harness.contracts.mixer import state_space_parameters
from harness.model.backbone import SwiGLU
from harness.registry import protocols
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.training.execute import execute
from harness.training.execute_together import execute_together
from harness.training.standard.outcome import Curve

TASK = "majority:length=12"
SMALL = "steps=12,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=16"


def recipe_of(more):
    entry, values = protocols.parse(f"standard:{more}")
    return entry.create_light(values)


def cell_of(more="", architecture="mean-pool"):
    return cell_from(TASK, architecture, "horizontal", f"standard:{SMALL}{more}")


def model_of(more="", architecture="mean-pool"):
    cell = cell_of(more, architecture)
    return protocol_of(cell).build(cell, task_of(cell), seed=0)


def test_options_added_later_leave_the_canonical_text_of_runs_without_them():
    plain = protocols.canonical("standard")
    assert plain == protocols.canonical("standard:mlp=gelu,positions=none,warmup=-1,test_length=none")
    assert "mlp" not in plain and "epochs" not in plain
    assert "mlp=none" in protocols.canonical("standard:mlp=none")


def test_a_block_without_mlp_is_the_mixer_and_its_residual():
    model = model_of(",mlp=none")
    (block,) = model.blocks
    x = torch.randn(2, 12, 16)
    torch.testing.assert_close(block(x), x + block.mixer(block.mixer_norm(x)))
    assert not any("mlp" in name for name, _ in model.named_parameters())


def test_swiglu_is_its_equation():
    mlp = SwiGLU(6, 10).double()
    x = torch.randn(3, 6, dtype=torch.float64)
    gate, value, out = (layer.weight for layer in (mlp.gate, mlp.value, mlp.out))
    torch.testing.assert_close(mlp(x), (functional.silu(x @ gate.T) * (x @ value.T)) @ out.T)
    assert sum(p.numel() for p in model_of(",mlp=swiglu,expansion=3").blocks[0].mlp.parameters()) == 3 * 16 * 48


def test_warm_up_is_a_twentieth_or_the_steps_that_are_given():
    by_default, given, none = (recipe_of(f"steps=100{more}") for more in ("", ",warmup=20", ",warmup=0"))
    assert [by_default.lr_multiplier(step) for step in (0, 4, 50)] == [0.2, 1.0, 1.0]
    assert [given.lr_multiplier(step) for step in (0, 9, 19, 50)] == [0.05, 0.5, 1.0, 1.0]
    assert none.lr_multiplier(0) == 1.0
    cosine = recipe_of("steps=100,warmup=20,schedule=cosine")
    assert cosine.lr_multiplier(60) == pytest.approx(0.5) and cosine.lr_multiplier(100) == pytest.approx(0)


def test_epochs_are_passes_over_the_training_set():
    assert recipe_of("epochs=3,train_samples=100,batch_size=8").steps == 38  # 300 / 8, rounded up
    assert execute(Run(cell=cell_of(",epochs=3,train_samples=16"), seed=0))["steps"] == 6
    with pytest.raises(UserError, match="got epochs=3 and train_samples=0, .*; give train_samples"):
        recipe_of("epochs=3")


def test_training_stops_once_validation_has_reached_what_is_asked():
    record = execute(Run(cell=cell_of(",stop_at=0.01"), seed=0))
    assert record["stopped_at"] == 2 and record["curve"]["step"] == [0, 2] and record["steps"] == 12
    assert record["capped"] is False
    capped = execute(Run(cell=cell_of(",stop_at=1.0,learning_rate=1e-7"), seed=0))
    assert capped["stopped_at"] is None and capped["capped"] is True
    assert execute(Run(cell=cell_of(""), seed=0))["capped"] is None


def test_patience_counts_evaluations_without_a_better_one():
    recipe = recipe_of("patience=2")
    assert not recipe.stops_after([0.5, 0.6]) and not recipe.stops_after([0.5, 0.6, 0.6])
    assert recipe.stops_after([0.5, 0.6, 0.6, 0.6]) and not recipe.stops_after([0.5, 0.6, 0.6, 0.7])
    record = execute(Run(cell=cell_of(",patience=2,learning_rate=1e-7"), seed=0))
    assert record["stopped_at"] == 4 and record["curve"]["step"] == [0, 2, 4]


def test_a_stopped_runs_last_accuracy_stands_for_the_rest_of_its_curve():
    curve = Curve(steps=[0, 10], accuracy=[0.5, 1.0])
    assert curve.area(10) == pytest.approx(0.75) and curve.area(40) == pytest.approx((7.5 + 30) / 40)


def test_runs_that_may_stop_train_one_at_a_time_and_say_so():
    runs = [Run(cell=cell_of(",stop_at=0.01"), seed=seed) for seed in (0, 1)]
    for record in execute_together(runs):
        assert record["replicas"] == 1 and "stop" in record["training_note"]


@pytest.mark.parametrize("architecture", ["mamba", "s4d", "mamba2"])
def test_state_space_parameters_have_a_rate_of_their_own_and_do_not_decay(architecture):
    model = model_of(architecture=architecture)
    marked = state_space_parameters(model)
    assert marked
    recipe = recipe_of("learning_rate=0.01,ssm_learning_rate=0.001,weight_decay=0.1")
    *others, group = recipe.make_optimizer(model).param_groups
    assert set(group["params"]) == marked and group["lr"] == 0.001 and group["weight_decay"] == 0
    assert all(other["lr"] == 0.01 for other in others)
    assert sum(len(g["params"]) for g in (*others, group)) == len(list(model.parameters()))
    slow = recipe_of("learning_rate=0.0001,ssm_learning_rate=0.001").make_optimizer(model).param_groups[-1]
    assert slow["lr"] == 0.0001  # the most, not the least
    names = {name for name, p in model.named_parameters() if p in marked}
    assert any("A_log" in name or "log_decay" in name for name in names)


def test_without_that_rate_the_groups_are_what_they_were():
    model = model_of(architecture="mamba")
    groups = recipe_of("weight_decay=0.1").make_optimizer(model).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
