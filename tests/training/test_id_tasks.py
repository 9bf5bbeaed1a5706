"""Tasks whose tokens are ids: the model embeds them, classifies over the vocabulary, and is tested at other lengths."""

import json

import numpy as np
import pytest
import torch

from harness.__main__ import main
from harness.contracts import IGNORE_INDEX
from harness.contracts.errors import UserError
from harness.registry import tasks
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.training.data import Data
from harness.training.execute import execute
from harness.training.execute_together import execute_together

TASK = "selective-copy:length=12,tokens=3,vocabulary=6,embedding=trained"
SMALL = "steps=12,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=4,width=16"


def cell_of(more="", task=TASK, architecture="min-gru", scan="horizontal"):
    return cell_from(task, architecture, scan, f"standard:{SMALL}{more}")


def start(cell, seed=0):
    task, protocol = task_of(cell), protocol_of(cell)
    return protocol.build(cell, task, seed=seed), Data(task, spec=cell.task, seed=seed)


def first_batch(data):
    return next(next(data.train_parts(count=8, batch_size=8, steps=1)))


def test_ids_are_symbols_and_answers_are_ids():
    (fixed, _), (ids, _) = (tasks.parse(text) for text in ("selective-copy", "selective-copy:embedding=trained"))
    samples = [task_of(cell_of(task=text)).sample("train", 40, 3) for text in (TASK.replace("trained", "fixed"), TASK)]
    assert np.array_equal(samples[0].symbols, samples[1].symbols)
    batch = samples[1].batch(np.arange(40))
    assert batch.tokens.dtype == np.int64 and np.array_equal(batch.tokens[..., 0], samples[1].symbols)
    asked = batch.target != IGNORE_INDEX
    assert np.array_equal(batch.target[asked], samples[0].target[asked] + 1)  # noise is id 0
    assert fixed is ids and "embedding" not in tasks.canonical("selective-copy")  # keys of older records stay


def test_the_model_looks_up_a_trained_vector_for_each_id():
    model, data = start(cell_of())
    tokens, _, _ = first_batch(data)
    assert model(tokens).shape == (8, 12, 6) and model.embed.weight.shape == (6, 16)
    one_hot = torch.nn.functional.one_hot(tokens[..., 0], 6).float()
    torch.testing.assert_close(model._embedded(tokens, False), one_hot @ model.embed.weight)


@pytest.mark.parametrize("scan", ["horizontal", "random:seed=1", "bidirectional"])
def test_learned_positions_belong_to_cells_whatever_the_scan(scan):
    model, data = start(cell_of(",positions=learned", architecture="mean-pool", scan=scan))
    tokens, _, _ = first_batch(data)
    with torch.no_grad():
        model.positions.normal_()
    plain, _ = start(cell_of(",positions=learned", architecture="mean-pool"))
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(tokens), plain(tokens), rtol=1e-4, atol=1e-5)
    assert model.positions.shape == (12, 16)


def test_a_tied_head_shares_the_embedding_and_both_learn():
    model, data = start(cell_of(",tied_head=true"))
    assert model.head.weight is model.embed.weight and model.head.bias is None
    tokens, target, _ = first_batch(data)
    torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), target.flatten(), ignore_index=-1).backward()
    assert model.embed.weight.grad.abs().sum() > 0
    assert sum(p is model.embed.weight for group in _groups(model) for p in group["params"]) == 1


def _groups(model, more=""):
    return protocol_of(cell_of(more)).make_optimizer(model).param_groups


def test_a_tied_head_is_refused_where_classes_are_no_ids():
    cell = cell_from("majority:length=16", "mean-pool", "horizontal", f"standard:{SMALL},tied_head=true")
    with pytest.raises(UserError, match="classes must be the vocabulary, got classes=2 and vocabulary=0; take"):
        start(cell)


@pytest.mark.parametrize("more", ["", ",tied_head=true", ",positions=learned,mlp=swiglu"])
def test_seeds_trained_together_are_those_trained_alone(more):
    runs = [Run(cell=cell_of(more, architecture="gated-ssm"), seed=seed) for seed in (0, 1)]
    for run, record in zip(runs, execute_together(runs), strict=True):
        assert record["replicas"] == 2, record["training_note"]
        assert record["test_loss"] == pytest.approx(execute(run)["test_loss"], abs=1e-4)


def test_samples_seen_once_come_in_the_order_in_which_they_are_drawn():
    _, data = start(cell_of())
    batches = list(data.train_parts(count=24, batch_size=8, steps=3))
    drawn = data.samples("train", 24)
    for step, parts in enumerate(batches):
        (tokens, _, _), *none = list(parts)
        assert not none and np.array_equal(tokens.numpy(), drawn.batch(np.arange(8 * step, 8 * step + 8)).tokens)
    passes = [next(parts)[0].numpy() for parts in data.train_parts(count=12, batch_size=8, steps=3)]
    assert not np.array_equal(passes[0], drawn.batch(np.arange(8)).tokens)  # a fixed set is shuffled
    seen = np.concatenate(passes).reshape(24, -1)
    whole = drawn.batch(np.arange(12)).tokens.reshape(12, -1)
    assert sorted(map(tuple, seen[:12])) == sorted(map(tuple, whole))


def test_a_set_too_large_to_keep_is_drawn_again_where_needed(monkeypatch):
    from harness.tasks import _symbols

    task = task_of(cell_of())
    picked = np.random.default_rng(0).integers(0, 5000, size=64)
    whole = task.sample("train", 5000, 0).batch(picked)
    monkeypatch.setattr(_symbols, "KEPT_CELLS", 1)
    samples = task.sample("train", 5000, 0)
    assert np.array_equal(samples.batch(picked).tokens, whole.tokens) and len(samples._chunks) == 1


def test_a_trained_model_is_tested_at_other_lengths():
    record = execute(Run(cell=cell_of(",positions=learned", architecture="gru"), seed=0))
    longer = execute(Run(cell=cell_of(',positions=learned,test_length="12 30"', architecture="gru"), seed=0))
    assert record["length_accuracy"] is None and record["status"] == longer["status"] == "done", longer["reason"]
    assert list(longer["length_accuracy"]) == ["12", "30"]
    assert all(0 <= accuracy <= 1 for accuracy in longer["length_accuracy"].values())


def test_the_same_length_drawn_anew_scores_about_the_same():
    more = ",learning_rate=0.02,test_length=9"
    protocol = f"standard:{SMALL}".replace("steps=12", "steps=150").replace("test_samples=32", "test_samples=1000")
    cell = cell_from(
        "selective-copy:length=9,tokens=2,vocabulary=5,embedding=trained", "gru", "horizontal", protocol + more
    )
    record = execute(Run(cell=cell, seed=0))
    assert record["test_accuracy"] > 0.6
    assert record["length_accuracy"]["9"] == pytest.approx(record["test_accuracy"], abs=0.06)


def test_the_table_shows_the_accuracy_at_each_length(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    protocol = f'standard:{SMALL},test_length="20 40"'
    command = ["run", "--task", TASK, "--arch", "min-gru", "--seeds", "2", "--no-timing", "--protocol", protocol]
    assert main([*command, "--device", "cpu", "--executor", "in-process"]) == 0
    assert "at length 20" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["0", "12,5", "long", " 3"])
def test_lengths_that_are_none_are_refused_in_one_line(given):
    with pytest.raises(UserError, match="protocol test_length: ") as caught:
        cell_of(f',test_length="{given}"').check()
    assert "\n" not in str(caught.value)


def test_a_task_of_one_length_says_so():
    cell = cell_from("majority:length=16", "mean-pool", "horizontal", f"standard:{SMALL},test_length=32")
    with pytest.raises(UserError, match="one length, got test_length=32"):
        start(cell)


@pytest.mark.parametrize(
    ("architecture", "scan", "reason"),
    [
        ("mean-pool", "horizontal", "is not causal"),
        ("global-attention", "horizontal", "is not causal"),
        ("gru", "horizontal.reversed", "visits later cells first"),
        ("gru", "bidirectional", "visits later cells first"),
    ],
)
def test_where_the_next_token_is_the_answer_nobody_may_see_it(architecture, scan, reason):
    record = execute(Run(cell=cell_of("", "mad-in-context-recall:length=8", architecture, scan), seed=0))
    assert record["status"] == "unsupported" and reason in record["reason"]


@pytest.mark.parametrize("architecture", ["gru", "global-attention:causal=true", "mamba"])
def test_causal_mixers_run_and_do_not_see_it(architecture):
    model, data = start(cell_of("", "mad-in-context-recall:length=8", architecture))
    tokens, _, _ = first_batch(data)
    changed = tokens.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 16
    torch.testing.assert_close(model(tokens)[:, :4], model(changed)[:, :4], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(tokens)[:, 4:], model(changed)[:, 4:], atol=1e-3)


def test_the_papers_protocol_refuses_ids():
    record = execute(Run(cell=cell_from(TASK, "gated-ssm", "horizontal", "paper:steps=2"), seed=0))
    assert record["status"] == "unsupported" and "are ids" in record["reason"]


def test_the_card_names_the_vocabulary(capsys):
    assert main(["show", TASK, "--format", "json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["vocabulary"] == card["classes"] == 6 and card["features"] == 1
