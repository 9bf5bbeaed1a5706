import numpy as np
import pytest
import torch

from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.training.data import Data
from harness.training.execute import execute
from harness.training.paper.full_batch import FullBatchGradient, FusedGradient, gradient_for, hinge_and_accuracy
from harness.training.paper.train import step_down, train_sets, whole

FROZEN = "gated-ssm:train_projections=false"
MAJORITY = "majority:length=10,relevant=0.5,confusing=0.2,dim=8,replacement=true"


def cell_of(architecture=FROZEN, task=MAJORITY, scan="horizontal", **protocol):
    settings = {"samples": 64, "steps": 60, "test_samples": 200, "validation_samples": 64, **protocol}
    text = ",".join(f"{name}={value}" for name, value in settings.items())
    return cell_from(task, architecture, scan, f"paper:{text}")


def parts(cell, seed=0):
    task, protocol = task_of(cell), protocol_of(cell)
    model = protocol.build(cell, task, seed=seed)
    return model, protocol, Data(task, spec=cell.task, seed=seed)


@pytest.mark.parametrize("projection", ["identity", "shared", "gaussian"])
@pytest.mark.parametrize("scan", ["horizontal", "random"])
def test_the_fused_descent_takes_the_steps_that_autograd_takes(projection, scan):
    cell = cell_of(f"{FROZEN},projection={projection}", scan=scan, learning_rate=2.0)
    courses = []
    for make in (FusedGradient, FullBatchGradient):
        model, protocol, data = parts(cell)
        descent = make(model)
        bound = descent.bind(whole(data, data.samples("train", 64)))
        losses = []
        for _ in range(20):
            losses.append(descent.backward(bound))
            step_down(model, protocol, losses[-1])
        courses.append((losses, *descent.evaluate(bound), model.hidden.detach(), model.first_mixer.w_D.detach()))
    fused, autograd = courses
    np.testing.assert_allclose(fused[0], autograd[0], atol=2e-5)
    torch.testing.assert_close(fused[3:], autograd[3:], atol=2e-4, rtol=1e-3)
    assert fused[0][-1] < fused[0][0]


def test_the_ungated_block_is_fused_with_its_gate_held():
    model, protocol, data = parts(cell_of("ungated-ssm:train_projections=false"))
    descent = gradient_for(model)
    assert isinstance(descent, FusedGradient)
    tokens = whole(data, data.samples("train", 64))
    reference = FullBatchGradient(model)
    assert descent.backward(descent.bind(tokens)) == pytest.approx(reference.backward(tokens), abs=1e-6)
    step_down(model, protocol, 1.0)
    assert descent.evaluate(descent.bind(tokens))[0] == pytest.approx(reference.evaluate(tokens)[0], abs=1e-6)


@pytest.mark.parametrize("architecture", ["gated-ssm", "local-attention", "mean-pool", FROZEN + ",projection=shared"])
def test_only_fixed_scores_are_fused(architecture):
    model = parts(cell_of(architecture))[0]
    assert isinstance(gradient_for(model), FusedGradient) == ("train_projections=false" in architecture)


def test_the_hidden_layer_starts_as_stated():
    model = parts(cell_of(hidden=2000, init_scale=0.02))[0]
    assert model.hidden.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.signs.sum().item() == pytest.approx(0, abs=1e-4)
    assert torch.all(model.signs.abs() == model.signs[0].abs())
    assert model.signs.square().sum().item() == pytest.approx(1)
    drawn = parts(cell_of(hidden=2000, signs="random"))[0].signs
    assert 0 < abs((drawn > 0).float().mean().item() - 0.5) < 0.05


def test_a_run_ends_when_it_has_converged_and_keeps_its_course():
    record = execute(Run(cell=cell_of(samples=200, steps=2000, learning_rate=2.0), seed=0))
    assert record["status"] == "done", record["reason"]
    assert record["test_loss"] < 1e-3
    assert record["steps_to_convergence"] == record["steps"] < 2000
    assert record["steps_to_threshold"] <= record["steps"]
    curve = record["curve"]
    assert all(len(values) == len(curve["step"]) for values in curve.values())
    assert curve["gate_input_plus"][0] == 0 and curve["gate_input_plus"][-1] > 0.5
    assert curve["hidden_positive_plus"][-1] > curve["hidden_positive_minus"][-1]


def test_a_run_that_does_not_converge_is_censored_at_its_last_step():
    record = execute(Run(cell=cell_of(steps=20, learning_rate=0.01), seed=0))
    assert record["steps_to_convergence"] is None
    assert record["steps"] == record["step_budget"] == 20


def test_a_training_set_without_loss_ends_a_run_that_does_not_generalize():
    record = execute(Run(cell=cell_of(samples=6, steps=20000, learning_rate=5.0, loss_threshold=0.0), seed=0))
    assert record["curve"]["train_loss"][-1] == 0
    assert record["steps_to_convergence"] is None and record["steps"] < 20000


def test_population_mode_sees_new_sequences_in_every_step():
    cell = cell_of(population="true", samples=16, steps=70)
    _, protocol, data = parts(cell)
    batches = list(train_sets(data, protocol))
    assert len(batches) >= 70
    tokens = torch.stack([batch[0] for batch in batches])
    assert len(torch.unique(tokens[:, 0, 0], dim=0)) == len(batches)  # no first token comes twice
    again = list(train_sets(data, protocol))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(batches, again, strict=True))
    labels = torch.cat([batch[1] for batch in batches])
    assert labels.unique().tolist() == [-1, 1] and labels.mean().abs() < 0.1


def test_the_mixers_step_is_bounded_and_shortened_by_the_loss():
    for schedule, factor in (("constant", 1.0), ("loss", 0.25)):
        model, protocol, _ = parts(cell_of(mixer_step=0.5, schedule=schedule, mixer_rate=3.0))
        model.hidden.grad = torch.ones_like(model.hidden)
        model.first_mixer.w_D.grad = torch.ones(8)
        before = model.hidden.clone()
        step_down(model, protocol, 0.25)
        assert model.first_mixer.w_D.norm().item() == pytest.approx(0.5 * factor, rel=1e-5)
        torch.testing.assert_close(before - model.hidden, torch.ones_like(before))


def test_a_task_of_more_classes_is_unsupported(monkeypatch):
    cell = cell_of()
    monkeypatch.setattr("harness.training.execute.task_of", lambda cell: _with_classes(task_of(cell), 3))
    record = execute(Run(cell=cell, seed=0))
    assert record["status"] == "unsupported" and "two classes" in record["reason"]


def _with_classes(task, classes):
    task.classes = classes
    return task


@pytest.mark.parametrize("depth", [1, 3])
def test_any_architecture_can_take_the_mixers_place(depth):
    for architecture in ("mamba", "global-attention", "local-attention:window=2", "mean-pool"):
        record = execute(Run(cell=cell_of(architecture, depth=depth, steps=3, samples=16), seed=0))
        assert record["status"] == "done", record["traceback"]
        assert np.isfinite(record["test_loss"])
        assert ("gate_cosine_plus" in record["curve"]) == (architecture == "mamba")


def test_gate_directions_of_mamba_point_where_a_token_moves_its_step_sizes():
    model = parts(cell_of("mamba"))[0]
    mixer = model.first_mixer
    directions = mixer.gate_directions()
    block = mixer.block
    token = torch.randn(8)
    inputs = block.in_proj(token)[: block.dt_proj.out_features]
    rates = block.x_proj(inputs)[: block.dt_proj.in_features]
    torch.testing.assert_close(directions @ token, torch.nn.functional.linear(rates, block.dt_proj.weight))


def test_an_output_of_zero_is_half_a_guess():
    loss, accuracy = hinge_and_accuracy(torch.tensor([0.0, 0.0, 2.0, -1.0]))
    assert (loss, accuracy) == (1.0, 0.5)
    assert hinge_and_accuracy(torch.zeros(7)) == (1.0, 0.5)
