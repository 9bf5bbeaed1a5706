"""What the record holds of a trained model beside its scores: other scans, decays."""

import numpy as np
import pytest
import torch

from harness.contracts.errors import UserError
from harness.registry import architectures
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.training.build import check_cell
from harness.training.data import Data
from harness.training.execute import execute
from harness.training.standard.decays import QUANTILES, decay_quantiles
from harness.training.standard.loop import Learner, train
from harness.training.standard.outcome import Replica
from harness.training.standard.scores import evaluate

TINY = "standard:steps=6,batch_size=8,validation_samples=16,test_samples=64,evaluate_every=3,width=8"


def cell(architecture="gated-ssm", scan="horizontal", extra="", task="locality2d:height=4,width=4,count=2"):
    return cell_from(task, architecture, scan, TINY + extra)


def test_a_model_trained_along_one_scan_is_tested_along_others():
    record = execute(Run(cell=cell(extra=',transfer="horizontal spiral hilbert.reversed"'), seed=0))
    assert record["status"] == "done", record["reason"]
    assert list(record["transfer"]) == ["horizontal", "spiral", "hilbert.reversed"]
    assert record["transfer"]["horizontal"] == record["test_accuracy"]
    # By hand: the same training, then a model of the other scan with its parameters.
    trained = cell(extra="")
    task, protocol = task_of(trained), protocol_of(trained)
    data = Data(task, spec=trained.task, seed=0)
    model = protocol.build(trained, task, seed=0)
    train(Learner(model, protocol), [Replica(data=data)], protocol)
    other = protocol.build(cell(scan="spiral"), task, seed=0)
    other.load_state_dict(model.state_dict())
    assert evaluate(other, data.evaluation("test", 64))[0] == record["transfer"]["spiral"]


def test_transfer_changes_nothing_that_was_there_without_it():
    plain, looked = (execute(Run(cell=cell(extra=extra), seed=1)) for extra in ("", ",transfer=snake"))
    assert plain["transfer"] is None
    for name in ("test_accuracy", "test_loss", "curve"):
        assert plain[name] == looked[name]


def test_other_scans_need_as_many_routes():
    with pytest.raises(UserError, match="follows 1 routes of horizontal, and cross.* has 4"):
        check_cell(cell(extra=',transfer="spiral cross"'))
    check_cell(cell(scan="cross", extra=',transfer="continuous"'))


def test_decays_of_a_fresh_gate_are_one_half_and_of_a_constant_one_what_it_is():
    for name, decay in (("gated-ssm", 0.5), ("ungated-ssm:gate=0.25", 0.75)):
        made = cell(name)
        task = task_of(made)
        model = protocol_of(made).build(made, task, seed=0)
        tokens, _, mask = next(iter(Data(task, spec=made.task, seed=0).evaluation("test", 32)))
        assert decay_quantiles(model, tokens, mask) == pytest.approx([decay] * QUANTILES)


def test_mambas_decays_are_those_that_its_scan_uses():
    """What the scan keeps of a state when nothing comes in, seen from outside: B x = 0 from the second step on."""
    mixer = architectures.parse("mamba")
    entry, values = mixer
    mamba = entry.create(values, width=8, length=6, grid=(1, 6), generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1))
    decays = mamba.decays(x)
    seen = {}

    def spy(u, delta, A, B, C, D, z, delta_bias, delta_softplus):
        seen["decays"] = torch.exp(torch.nn.functional.softplus(delta + delta_bias[:, None])[..., None] * A[:, None])
        return torch.zeros_like(u)

    from harness.architectures.layers.mamba import run_block

    run_block(mamba.block, x, spy)
    torch.testing.assert_close(decays, seen["decays"].transpose(1, 2))


@pytest.mark.parametrize("name", ["global-attention", "local-attention", "mean-pool"])
def test_attention_has_no_decay(name):
    assert execute(Run(cell=cell(name), seed=0))["decay_quantiles"] is None


@pytest.mark.parametrize("name", ["gated-ssm", "mamba", "gated-linear-attention"])
def test_decays_are_sorted_shares(name):
    quantiles = np.array(execute(Run(cell=cell(name), seed=0))["decay_quantiles"])
    assert len(quantiles) == QUANTILES and (np.diff(quantiles) >= 0).all()
    assert quantiles.min() >= 0 and quantiles.max() <= 1
