"""Tasks that ask at several cells: every cell is classified, and only what is asked counts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.__main__ import main
from harness.contracts import IGNORE_INDEX
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.training.data import Data
from harness.training.execute import execute
from harness.training.execute_together import execute_together
from harness.training.standard.loop import Learner, score, train
from harness.training.standard.outcome import Replica
from harness.training.standard.replicas import StackedModels
from harness.training.standard.scores import cross_entropy, evaluate

PROTOCOL = "standard:steps=12,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=4,width=16"
TASKS = ("associative-recall:length=16,pairs=2,vocabulary=16,dim=8", "selective-copy:length=16,tokens=3,vocabulary=6")
each_task = pytest.mark.parametrize("task", TASKS)


def cell_of(task=TASKS[0], architecture="min-gru", scan="horizontal", protocol=PROTOCOL):
    return cell_from(task, architecture, scan, protocol)


def start(cell, seed=0):
    task, protocol = task_of(cell), protocol_of(cell)
    return protocol.build(cell, task, seed=seed), Data(task, spec=cell.task, seed=seed)


@each_task
@pytest.mark.parametrize("scan", ["horizontal", "random:seed=1", "bidirectional", "horizontal+random:seed=1"])
def test_scores_stand_in_cell_order_whatever_the_scan(task, scan):
    model, data = start(cell_of(task, "mean-pool", scan))
    tokens, target, _ = next(next(data.train_parts(count=8, batch_size=8, steps=1)))
    scores = model(tokens)
    assert scores.shape == (*target.shape, model.head.out_features)
    # Mean pooling adds the same to every cell, so a cell's scores follow its own token.
    swapped = tokens[:, torch.arange(tokens.shape[1] - 1, -1, -1)]
    torch.testing.assert_close(model(swapped), scores.flip(1), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(scores, scores.flip(1), atol=1e-3)


def test_gathering_once_gives_the_scores_of_gathering_layer_by_layer():
    model, data = start(cell_of(scan="random:seed=1"))
    tokens, _, _ = next(next(data.train_parts(count=8, batch_size=8, steps=1)))
    assert model.gather_once
    once, real = model(tokens), torch.ones(tokens.shape[:2], dtype=torch.bool)
    torch.testing.assert_close(once, model(tokens, real), rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_mean_over_asked_cells():
    scores = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))
    target = torch.full((4, 6), IGNORE_INDEX)
    target[0, 2], target[3, 5], target[3, 0] = 1, 4, 0
    by_hand = -(scores.log_softmax(-1)[[0, 3, 3], [2, 5, 0], [1, 4, 0]]).mean()
    torch.testing.assert_close(cross_entropy(scores, target), by_hand)
    of_sequences, classes = scores[:, 0], torch.tensor([0, 4, 2, 2])
    assert torch.equal(cross_entropy(of_sequences, classes), F.cross_entropy(of_sequences, classes))


@each_task
def test_accuracy_is_the_share_of_asked_cells(task):
    model, data = start(cell_of(task))
    split = data.evaluation("test", 20)
    right = asked = 0
    with torch.no_grad():
        for tokens, target, _ in split:
            guess = model(tokens).argmax(-1)
            for row in range(len(target)):
                for cell in np.flatnonzero(target[row] != IGNORE_INDEX):
                    right += int(guess[row, cell] == target[row, cell])
                    asked += 1
    assert evaluate(model, split)[0] == right / asked and asked == 20 * (2 if task == TASKS[0] else 3)


def test_seeds_trained_together_are_those_trained_alone():
    cell, seeds = cell_of(architecture="gated-ssm"), (0, 3)
    protocol = protocol_of(cell)
    models, data = zip(*(start(cell, seed) for seed in seeds), strict=True)
    stack, replicas = StackedModels(models, protocol), [Replica(data=each) for each in data]
    train(stack, replicas, protocol)
    score(stack, replicas, protocol)
    for replica, seed in zip(replicas, seeds, strict=True):
        model, data = start(cell, seed)
        alone = Replica(data=data)
        train(Learner(model, protocol), [alone], protocol)
        assert replica.curve.loss == pytest.approx(alone.curve.loss, abs=1e-4)
        assert replica.curve.train_loss[1:] == pytest.approx(alone.curve.train_loss[1:], abs=1e-4)
        assert replica.test_loss == pytest.approx(evaluate(model, data.evaluation("test", 32))[1], abs=1e-4)


def test_a_replica_is_asked_what_its_own_batch_asks():
    scores = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    target = torch.full((2, 3, 4), IGNORE_INDEX)
    target[0, 0, 0], target[1, :, 1:3] = 2, 1
    found = torch.vmap(cross_entropy)(scores, target)
    torch.testing.assert_close(found, torch.stack([cross_entropy(s, t) for s, t in zip(scores, target, strict=True)]))


@each_task
def test_a_run_leaves_a_record_with_scores_against_the_oracle(task):
    record = execute(Run(cell=cell_of(task), seed=0))
    assert record["status"] == "done", record["reason"]
    assert 0 <= record["test_accuracy"] <= 1 and record["oracle_accuracy"] == 1
    assert record["order_blind_ceiling"] is None


def test_a_recurrence_learns_to_copy():
    protocol = "standard:steps=150,batch_size=32,learning_rate=0.02,evaluate_every=150,validation_samples=64"
    task = "selective-copy:length=8,tokens=2,vocabulary=5"
    record = execute(Run(cell=cell_of(task, "gru", protocol=protocol), seed=0))
    assert record["test_accuracy"] > 0.9 and record["chance_accuracy"] == 1 / 3


def test_the_papers_protocol_refuses_it_alone_and_together():
    cell = cell_of(architecture="gated-ssm", protocol="paper:steps=2")
    records = [execute(Run(cell=cell, seed=0)), *execute_together([Run(cell=cell, seed=seed) for seed in (0, 1)])]
    for record in records:
        assert record["status"] == "unsupported" and "asks at cells" in record["reason"]


def test_the_card_says_that_it_asks_at_cells_and_draws_it(tmp_path, capsys):
    path = tmp_path / "examples.png"
    assert main(["show", TASKS[0], "-o", str(path)]) == 0
    assert "per token targets" in capsys.readouterr().out.replace("_", " ")
    assert path.exists()
