"""Irregular sequences: routed by the grid that bounds each, padded, and trained in parts."""

import numpy as np
import pytest
import torch

from harness.contracts import Batch, Samples, Task
from harness.model.routed import TokenCoordinates
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.registry.routing import scan_from
from harness.training.data import Data
from harness.training.execute import execute
from harness.training.standard.loop import accumulated_step
from harness.training.standard.scores import class_scores

SLIDES = "synthetic-slides:tiles=40,spread=2,dim=6,kinds=4,clusters=1,size=2,window=2"
PROTOCOL = "standard:steps=4,batch_size=6,validation_samples=12,test_samples=24,evaluate_every=2,width=8"
SCANS = ["horizontal", "hilbert", "random:seed=1", "horizontal+vertical", "cross", "zigma8", "local"]


def model_of(scan="hilbert", architecture="mamba", readout="mean", task=SLIDES, depth=1):
    cell = cell_from(task, architecture, scan, f"{PROTOCOL},readout={readout},depth={depth}")
    return protocol_of(cell).build(cell, task_of(cell), seed=0)


def slides(count=6):
    data = Data(task_of(cell_from(SLIDES, "mamba", "hilbert", PROTOCOL)), spec=SLIDES, seed=0)
    return data, data.samples("train", count)


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("readout", ["mean", "last", "attention"])
def test_a_whole_grid_given_as_places_is_the_grid(scan, readout):
    model = model_of(scan, "gated-ssm", readout, task="locality2d:height=5,width=7", depth=2)
    tokens = torch.randn(3, 35, model.embed.in_features, generator=torch.Generator().manual_seed(0))
    cell = torch.arange(35)
    places = torch.stack([cell // 7, cell % 7], dim=-1).expand(3, -1, -1)
    torch.testing.assert_close(model(tokens, TokenCoordinates(places + 4, None)), model(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("readout", ["mean", "last", "attention"])
@pytest.mark.parametrize("architecture", ["mamba", "local-attention", "identity", "global-attention:positions=2d"])
def test_what_stands_beside_a_slide_in_a_batch_does_not_change_it(architecture, readout):
    model = model_of("hilbert+vertical", architecture, readout)
    data, samples = slides()
    tokens, _, places = data.render(samples, np.arange(6))
    tokens = torch.where(places.mask[..., None], tokens, 1e3)
    together = model(tokens, places)
    alone = torch.cat([model(*data.render(samples, np.array([row]))[::2]) for row in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_a_route_follows_the_slides_own_bounding_grid():
    order = scan_from("vertical")[2].orders[0]
    cells = torch.tensor([[[5, 9], [6, 8], [7, 9], [0, 0]]])
    route, rank = TokenCoordinates(cells, torch.tensor([[True, True, True, False]])).route(order)
    assert route.tolist() == [[1, 0, 2, 3]] and rank.tolist() == [[1, 0, 2, 3]]


@pytest.mark.parametrize("readout", ["mean", "attention"])
def test_the_control_that_mixes_nothing_sees_no_order(readout):
    data, samples = slides()
    tokens, _, places = data.render(samples, np.arange(6))
    scores = [model_of(scan, "identity", readout)(tokens, places) for scan in ("horizontal", "random", "bidirectional")]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scores[0], scores[2], rtol=1e-4, atol=1e-5)


def test_a_step_in_parts_is_a_step_at_once(monkeypatch):
    data, samples = slides()
    states = []
    for cells in (10**6, 20):
        monkeypatch.setattr("harness.training.data.PART_CELLS", cells)
        parts = list(data.parts(samples, np.arange(6)))
        assert len(parts) == (1 if cells > 20 else 6) and sum(len(target) for _, target, _ in parts) == 6
        model = model_of(readout="attention")
        protocol = protocol_of(cell_from(SLIDES, "mamba", "hilbert", PROTOCOL))
        loss = accumulated_step(model, protocol.make_optimizer(model), protocol, iter(parts), 6)
        states.append((loss, [parameter.grad.clone() for parameter in model.parameters()]))
    torch.testing.assert_close(states[0][0], states[1][0], rtol=1e-4, atol=1e-5)
    for together, apart in zip(states[0][1], states[1][1], strict=True):
        torch.testing.assert_close(together, apart, rtol=1e-3, atol=1e-5)


def test_parts_hold_every_sample_once_and_no_more_cells_than_they_may(monkeypatch):
    monkeypatch.setattr("harness.training.data.PART_CELLS", 100)
    data, samples = slides(20)
    tokens, targets, _ = zip(*data.parts(samples, np.arange(20)), strict=True)
    assert all(part.shape[0] * part.shape[1] <= 100 for part in tokens)
    assert sorted(torch.cat(targets).tolist()) == sorted(samples.target.tolist())


def test_attention_pooling_is_the_published_formula():
    pool = model_of(readout="attention").pool
    x = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    for row, count in ((0, 5), (1, 3)):
        h = x[row, :count]
        score = (torch.tanh(pool.value(h)) * torch.sigmoid(pool.gate(h))) @ pool.score.weight[0]
        torch.testing.assert_close(pool(x, mask)[row], score.softmax(0) @ h)


def test_a_readout_leaves_the_rest_of_the_model_as_it_was():
    plain, attended = (dict(model_of(readout=readout).named_parameters()) for readout in ("mean", "attention"))
    assert plain.keys() < attended.keys() and all(torch.equal(plain[name], attended[name]) for name in plain)


@pytest.mark.parametrize("classes", [2, 4])
def test_auc_and_f1_are_those_of_scikit_learn(classes):
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(classes)
    probabilities = draw.dirichlet(np.ones(classes), 60).round(1)  # with ties
    target = draw.integers(0, classes, 60)
    found = class_scores(probabilities, target)
    if classes == 2:
        expected = metrics.roc_auc_score(target, probabilities[:, 1])
    else:
        each = [metrics.roc_auc_score(target == label, probabilities[:, label]) for label in range(classes)]
        expected = np.mean(each)
    assert found["test_auc"] == pytest.approx(expected)
    guess = probabilities.argmax(1)
    assert found["test_f1"] == pytest.approx(metrics.f1_score(target, guess, average="macro"))
    assert class_scores(probabilities, np.zeros(60, dtype=int))["test_auc"] is None


def test_a_run_on_synthetic_slides_leaves_a_record():
    record = execute(Run(cell=cell_from(SLIDES, "gated-ssm", "hilbert", f"{PROTOCOL},readout=attention"), seed=0))
    assert record["status"] == "done", record["reason"]
    assert 0 <= record["test_auc"] <= 1 and 0 <= record["test_f1"] <= 1 and record["oracle_accuracy"] > 0.8


def test_a_scan_that_cuts_a_whole_grid_is_unsupported():
    record = execute(Run(cell=cell_from(SLIDES, "gated-ssm", "atrous", PROTOCOL), seed=0))
    assert record["status"] == "unsupported" and "cuts a whole grid" in record["reason"]


class _Lines(Samples):
    target, lengths = np.zeros(2, dtype=np.int64), np.array([3, 5])

    def batch(self, indices):
        shape = (len(indices), 5)
        return Batch(
            tokens=np.zeros((*shape, 1), np.float32), target=self.target[indices], coords=np.zeros((*shape, 2), int)
        )


def test_a_split_is_kept_by_the_cells_that_its_sequences_really_have():
    class Irregular(Task):
        grid, features, classes, chance, irregular = (1, 10**9), 1, 2, 0.5, True

        def sample(self, split, count, seed):
            return _Lines()

    assert Data(Irregular(), spec="x", seed=0).evaluation("test", 2)._keep
