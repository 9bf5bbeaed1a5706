"""Replaying a training step: the bookkeeping, with a stand-in for the capture. Real captures need a GPU."""

import torch

from harness.registry.cells import cell_from, protocol_of, task_of
from harness.training.data import Data
from harness.training.standard.cuda_graph import WARMUP_STEPS, GraphedStep
from harness.training.standard.loop import train
from harness.training.standard.outcome import Replica
from harness.training.standard.replicas import StackedModels

CELL = cell_from(
    "locality2d:height=4,width=4",
    "mean-pool",
    "hilbert",
    "standard:steps=8,batch_size=8,validation_samples=16,test_samples=16,evaluate_every=4,width=8,schedule=cosine",
)


class Recorder:
    """Does nothing when it records; what it returns does, and writes where the result then stands."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, function):
        self.recorded += 1
        output = torch.full((1,), torch.nan)

        def replay():
            self.replayed += 1
            output.copy_(function())

        return replay, output


def refuse(function):
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


def trained(make_step=lambda stack: None):
    task, protocol = task_of(CELL), protocol_of(CELL)
    stack = StackedModels([protocol.build(CELL, task, seed=0)], protocol)
    replica = Replica(data=Data(task, spec=CELL.task, seed=0))
    step = make_step(stack)
    stack.step = step or stack.step
    train(stack, [replica], protocol)
    return stack, replica, step


def test_replayed_steps_train_as_the_step_itself_does():
    recorder = Recorder()
    plain, expected, _ = trained()
    stack, replica, step = trained(lambda stack: GraphedStep(stack.plain_step, recorder))
    assert (recorder.recorded, recorder.replayed) == (1, 8 - WARMUP_STEPS)
    assert step.replayed and step.reason is None
    assert replica.curve == expected.curve
    for name, parameter in plain.parameters.items():
        assert torch.equal(stack.parameters[name], parameter)


def test_where_the_capture_fails_the_step_itself_serves_and_the_reason_is_kept():
    _, expected, _ = trained()
    _, replica, step = trained(lambda stack: GraphedStep(stack.plain_step, refuse))
    assert not step.replayed
    assert step.reason == "no CUDA graph, RuntimeError: operation not permitted when stream is capturing"
    assert replica.curve == expected.curve


def test_the_inputs_of_a_capture_are_copies():
    seen = []

    def step(tokens, target, mask):
        seen.append(tokens.clone())
        return tokens.sum()[None]

    graphed = GraphedStep(step, Recorder())
    batches = [torch.full((1, 2), float(number)) for number in range(6)]
    losses = [float(graphed(tokens, torch.zeros(1), None)) for tokens in batches]
    assert losses == [2.0 * number for number in range(6)]
    assert [float(tokens[0, 0]) for tokens in seen] == list(range(6))
    assert float(batches[WARMUP_STEPS][0, 0]) == WARMUP_STEPS  # later batches are not written into it


def test_a_rate_held_in_a_tensor_is_changed_in_place():
    task, protocol = task_of(CELL), protocol_of(CELL)
    stack = StackedModels([protocol.build(CELL, task, seed=0)], protocol)
    group = stack.optimizer.param_groups[0]
    group["lr"] = held = torch.tensor(0.0)
    stack.set_learning_rate(protocol.lr_multiplier(4))
    assert group["lr"] is held
    assert 0 < float(held) < protocol.learning_rate
