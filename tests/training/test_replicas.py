"""Seeds trained together: the same as each alone, up to rounding; and the records that come of it."""

import pytest
import torch

from harness.analysis.summary import mixtures
from harness.contracts.errors import UserError
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.running.execution import Execution
from harness.running.executors import InProcess, Pool, groups_of
from harness.training.data import Data
from harness.training.execute import execute
from harness.training.execute_together import execute_together
from harness.training.standard.loop import Learner, score, train
from harness.training.standard.outcome import Replica
from harness.training.standard.replicas import StackedModels

PROTOCOL = "standard:steps=20,batch_size=16,validation_samples=32,test_samples=64,evaluate_every=5,width=16"
SEEDS = (0, 3, 4)
SPECS = ("gated-ssm", "local-attention", "global-attention", "mean-pool", "mamba")
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")
MEASURED = (
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "mean_validation_accuracy",
    "steps_to_threshold",
    "kernel",
)


def cell_of(architecture, scan="hilbert", protocol=PROTOCOL):
    return cell_from("locality2d:height=4,width=4", architecture, scan, protocol)


def start(cell, seed):
    task, protocol = task_of(cell), protocol_of(cell)
    return protocol.build(cell, task, seed=seed), Data(task, spec=cell.task, seed=seed)


def together(cell, seeds=SEEDS):
    models, data = zip(*(start(cell, seed) for seed in seeds), strict=True)
    return trained(StackedModels(models, protocol_of(cell)), data, protocol_of(cell))


def trained(learner, data, protocol):
    replicas = [Replica(data=each) for each in data]
    train(learner, replicas, protocol)
    score(learner, replicas, protocol)
    return learner, replicas


@pytest.mark.parametrize("scan", ["hilbert", "horizontal+vertical"])
@pytest.mark.parametrize("architecture", SPECS)
def test_each_seed_trains_as_it_does_alone(architecture, scan):
    cell = cell_of(architecture, scan)
    protocol = protocol_of(cell)
    stack, replicas = together(cell)
    for index, seed in enumerate(SEEDS):
        model, data = start(cell, seed)
        _, (alone,) = trained(Learner(model, protocol), [data], protocol)
        replica, curve = replicas[index], alone.curve
        assert replica.curve.steps == curve.steps
        one_sample = 1.01 / protocol.validation_samples  # a score at a tie may fall to the other side
        assert replica.curve.accuracy == pytest.approx(curve.accuracy, abs=one_sample)
        assert replica.curve.loss == pytest.approx(curve.loss, abs=1e-4)
        assert replica.curve.train_loss[1:] == pytest.approx(curve.train_loss[1:], abs=1e-4)
        assert replica.test_accuracy == pytest.approx(alone.test_accuracy, abs=1.01 / protocol.test_samples)
        assert replica.test_loss == pytest.approx(alone.test_loss, abs=1e-4)
        for name, parameter in model.named_parameters():
            found = stack.parameters[name][index]
            torch.testing.assert_close(moved(name, found), moved(name, parameter), atol=1e-4, rtol=0)


def moved(name, parameter):
    """The part whose gradient is more than rounding, which AdamW would scale up: no softmax sees the keys' bias."""
    if not name.endswith("qkv.bias"):
        return parameter
    queries, _, values = parameter.chunk(3)
    return torch.cat([queries, values])


def test_seeds_end_apart():
    stack, _ = together(cell_of("mean-pool"))
    weights = stack.parameters["embed.weight"]
    assert (weights[0] - weights[1]).abs().max() > 1e-2


def test_gradients_are_clipped_by_each_seeds_own_norm():
    stack, replicas = together(cell_of("mean-pool", protocol=PROTOCOL + ",clip=0.01"))
    tokens, target, _ = next(next(replicas[0].data.train_parts(count=16, batch_size=16, steps=1)))
    stack.plain_step(tokens.expand(3, -1, -1, -1), target.expand(3, -1), None)
    gradients = [parameter.grad.flatten(1) for parameter in stack.parameters.values()]
    norms = torch.cat(gradients, dim=1).norm(dim=1)
    assert norms.tolist() == pytest.approx([0.01] * 3, rel=1e-3)


def test_one_seed_that_diverges_is_its_own_outcome_only():
    cell = cell_of("mean-pool")
    models, data = zip(*(start(cell, seed) for seed in SEEDS), strict=True)
    with torch.no_grad():
        models[1].embed.weight[0, 0] = torch.inf
    _, replicas = trained(StackedModels(models, protocol_of(cell)), data, protocol_of(cell))
    assert replicas[1].diverged is not None and replicas[1].diverged.step == 0
    _, healthy = together(cell)
    for index in (0, 2):
        assert replicas[index].diverged is None
        assert replicas[index].curve.accuracy == healthy[index].curve.accuracy
        assert replicas[index].test_loss == healthy[index].test_loss


def test_records_of_seeds_trained_together_say_so_and_hold_what_a_run_alone_holds():
    runs = [Run(cell=cell_of("gated-ssm"), seed=seed) for seed in SEEDS]
    said = []
    records = execute_together(runs, lambda run, *_: said.append(run.seed))
    assert set(said) == set(SEEDS)
    for run, record in zip(runs, records, strict=True):
        alone = execute(run)
        assert record.keys() == alone.keys()
        assert (record["status"], record["replicas"], record["training_note"]) == ("done", 3, None)
        assert (alone["replicas"], alone["key"]) == (1, record["key"])
        assert record["test_loss"] == pytest.approx(alone["test_loss"], abs=1e-4)
        assert record["test_auc"] == pytest.approx(alone["test_auc"], abs=1e-2)


def test_a_record_of_a_seed_that_diverges_together_is_one_of_divergence():
    protocol = PROTOCOL + ",learning_rate=10.0,clip=1000000.0,steps=60"
    runs = [Run(cell=cell_of("mean-pool", protocol=protocol.replace("steps=20,", "")), seed=seed) for seed in (0, 1)]
    records = execute_together(runs)
    alone = [execute(run) for run in runs]
    assert [record["status"] for record in records] == [record["status"] for record in alone]


def test_what_has_no_batching_rule_trains_alone_with_the_reason_recorded(monkeypatch):
    monkeypatch.setenv("HARNESS_NO_CPP", "1")  # the torch loop of the scan has none
    runs = [Run(cell=cell_of("mamba"), seed=seed) for seed in (0, 1)]
    for run, record in zip(runs, execute_together(runs), strict=True):
        alone = execute(run)
        assert record["replicas"] == 1
        assert record["training_note"].startswith("not together: ")
        assert [record[name] for name in MEASURED] == [alone[name] for name in MEASURED]  # bit for bit


def test_what_cannot_be_built_keeps_its_own_outcome():
    runs = [Run(cell=cell_of("mean-pool", scan="peano"), seed=seed) for seed in (0, 1)]
    assert [record["status"] for record in execute_together(runs)] == ["unsupported"] * 2


def test_groups_hold_runs_that_differ_in_seed_only():
    cells = cell_of("mean-pool"), cell_of("gated-ssm")
    runs = [Run(cell=cell, seed=seed) for seed in range(5) for cell in cells]
    groups = groups_of(runs, 2)
    assert [len(group) for group in groups] == [2, 2, 1, 2, 2, 1]
    assert all(len({run.cell for run in group}) == 1 for group in groups)
    assert {run for group in groups for run in group} == set(runs)
    assert groups_of(runs, 1) == [[run] for cell in cells for run in runs if run.cell == cell]


def test_a_pool_and_the_process_itself_train_groups_alike():
    runs = [Run(cell=cell_of(name), seed=seed) for name in ("mean-pool", "gated-ssm") for seed in SEEDS]
    execution = Execution(replicas=2)
    here = {record["key"]: record for record in InProcess(execution).map(runs, lambda *_: None)}
    there = {record["key"]: record for record in Pool(2, (), execution).map(runs, lambda *_: None)}
    assert here.keys() == there.keys() == {run.key for run in runs}
    assert sorted(record["replicas"] for record in here.values()) == [1, 1, 2, 2, 2, 2]
    for key, record in here.items():
        assert [there[key][name] for name in MEASURED] == [record[name] for name in MEASURED]


@pytest.mark.parametrize(
    ("replicas", "cuda_graphs", "words"),
    [
        (3, False, "one seed a core fills a CPU, got 3 with device cpu"),
        (1, True, "needs a CUDA GPU, got device cpu"),
    ],
)
def test_what_pays_on_a_gpu_only_is_refused_on_a_cpu_in_one_line(replicas, cuda_graphs, words):
    with pytest.raises(UserError, match=words) as raised:
        Execution(replicas=replicas, cuda_graphs=cuda_graphs).check_device("cpu")
    assert "\n" not in str(raised.value)


def test_on_a_gpu_both_are_fine():
    Execution(replicas=8, cuda_graphs=True).check_device("cuda")
    Execution().check_device("cpu")


def test_a_table_that_mixes_both_kinds_says_so():
    runs = [Run(cell=cell_of("mean-pool"), seed=seed) for seed in (0, 1)]
    records = [*execute_together(runs), execute(Run(cell=cell_of("mean-pool"), seed=2))]
    assert any("trained together, in groups of 1, 2" in warning for warning in mixtures(records))
    assert not any("together" in warning for warning in mixtures(records[:2]))
