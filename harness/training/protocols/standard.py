"""The standard protocol: embed, depth x [norm, mixer, residual, norm, MLP, residual], readout; cross-entropy; AdamW."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.contracts import Task
from harness.contracts.errors import Diverged
from harness.contracts.protocol import Outcome, Report, TimedStep
from harness.registry import protocols
from harness.registry.cells import Cell, Run
from harness.training.standard.recipe import StandardRecipe


@protocols.register("standard", version=2)
@dataclass(frozen=True, kw_only=True)
class Standard(StandardRecipe):
    """Embed, depth x [norm, mixer, residual, norm, MLP, residual], readout; cross-entropy; AdamW.

    RMS norms without bias stand before mixer, MLP and readout; the MLP is `expansion` times as wide (GELU). Gradients
    are clipped at norm `clip`; the learning rate is constant, or cosine to zero, after a warm-up of a twentieth of the
    steps. train_samples=0 means that every batch is new (steps x batch_size samples, each seen once); otherwise so many
    are drawn once and passed over in a new order each time. Validation accuracy is taken every `evaluate_every` steps.
    `threshold` is the share of the way from chance to 1 that validation accuracy must reach to count as learned.
    readout=mean averages the cells; readout=attention weighs them by gated attention (Ilse et al., 2018), as
        multiple-instance learning does; readout=last takes each route's final step (the mean of them for several).
    A task that asks at cells (its card says so) needs no readout: every cell is classified, and loss and accuracy are
        means over the cells that are asked.
    transfer: scans, separated by spaces, by which the trained model also reads the first 512 test samples: what was
        learned along one order, tried along another. They need as many routes as the cell's own scan.
    match=width gives every architecture the same width; match=parameters the width, a multiple of 4, at which its model
        comes nearest to the parameters of `mamba` at `width` along one route; match=state likewise to the state that a
        layer carries from step to step, and what carries none is unsupported. The record has the width.
    mlp=swiglu has three matrices and no biases; mlp=none leaves the MLP, its norm and its residual out.
    positions=learned adds a trained vector for each cell to its embedding: it belongs to the cell, not to a step.
    tied_head: of a task whose classes are its ids, the classifier's weights are the embeddings (no bias).
    warmup: steps of linear warm-up; -1 is a twentieth of all.
    epochs: passes over train_samples, in place of steps. stop_at: training ends once validation accuracy has reached
        this; patience: or has not risen for so many evaluations; 0 for neither. The last state is scored, never the
        best by test, and a stopped run's last accuracy stands for the rest of its learning curve.
    ssm_learning_rate: the most that the mixers' state space parameters (A, dt, D as they mark them) train with, without
        decay; 0 trains them with the others.
    test_length: lengths, separated by spaces, of further test sets for the trained model; the record has the accuracy
        at each (`length_accuracy`). The task says what is longer.
    """

    timed = True

    def build(self, cell: Cell, task: Task, *, seed: int) -> Any:
        from harness.training.standard.model import build_model

        return build_model(cell, task, self, seed=seed)

    def check(self, cell: Cell, task: Task) -> None:
        from harness.training.standard.model import check_transfer

        check_transfer(cell, task, self, self.build(cell, task, seed=0))

    def train(self, run: Run, task: Task, report: Report) -> Outcome:
        from harness.training.standard.loop import Learner, train_runs

        model = self.build(run.cell, task, seed=run.seed).to(run.device)
        (outcome,) = train_runs([run], task, self, [report], Learner(model, self))
        if isinstance(outcome, Diverged):
            raise outcome
        return outcome

    def train_together(
        self, runs: Sequence[Run], task: Task, reports: Sequence[Report], *, cuda_graphs: bool = False
    ) -> tuple[list[Outcome | Diverged], dict[str, Any]]:
        from harness.training.standard.cuda_graph import GraphedStep
        from harness.training.standard.loop import train_runs
        from harness.training.standard.replicas import StackedModels

        if task.irregular:
            raise NotImplementedError("sequences of many lengths train one run at a time")
        if self.stops_early:
            raise NotImplementedError("runs that validation may stop train one at a time")
        if type(self).make_optimizer is not StandardRecipe.make_optimizer and not self.elementwise_optimizer:
            raise NotImplementedError(f"{type(self).__name__} does not say that its optimizer is elementwise")
        models = [self.build(run.cell, task, seed=run.seed).to(run.device) for run in runs]
        learner = StackedModels(models, self, capturable=cuda_graphs)
        graphed = GraphedStep(learner.plain_step) if cuda_graphs else None
        learner.step = graphed or learner.step
        outcomes = train_runs(runs, task, self, reports, learner)
        return outcomes, {
            "cuda_graph": graphed is not None and graphed.replayed,
            "training_note": None if graphed is None else graphed.reason,
        }

    def estimate(self, run: Run, task: Task) -> float:
        from harness.training.standard.loop import seconds_of_run

        return seconds_of_run(run, task, self)

    def timed_step(self, run: Run, task: Task) -> TimedStep:
        from harness.training.standard.loop import timed_step

        return timed_step(run, task, self)
