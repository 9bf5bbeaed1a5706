"""The paper's protocol: mixer, hidden layer with fixed output signs, mean; hinge loss; full-batch gradient descent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.contracts import Task
from harness.contracts.errors import Diverged
from harness.contracts.protocol import Outcome, Report
from harness.registry import protocols
from harness.registry.cells import Cell, Run
from harness.training.paper.recipe import PaperRecipe


@protocols.register("paper", version=2)
@dataclass(frozen=True, kw_only=True)
class Paper(PaperRecipe):
    """The paper's: F(X) = mean_l v . relu(W_O y_l), hinge loss, full-batch gradient descent with a constant step.

    y is what the mixer makes of the tokens themselves: no embedding, no norm, no residual. W_O [hidden, d] starts at
    N(0, init_scale^2), v is fixed at +-1/sqrt(hidden). A step uses all `samples` sequences, drawn once; population=true
    draws as many anew for every step. Every `evaluate_every` steps the hinge loss and the accuracy on `test_samples`
    fresh sequences are taken: a run has converged when that loss is below `loss_threshold` (the paper's end point) and
    has learned when that accuracy reaches `accuracy_threshold` (ours). Training ends at convergence (stop=true) or
    after `steps`; a run that has not converged by then is censored there. An epoch is one step.

    signs: v half positive, half negative (balanced), or independent fair signs (random).
    depth: mixers one after the other, x + mixer(rms_norm(x)) each where there are several (ours).
    learning_rate: eta, the step of W_O. mixer_rate: the mixer's parameters (w_D) take mixer_rate * eta.
    schedule: all steps are constant (the paper's), or the mixer's is multiplied with the training loss where that is
        below 1 (loss; ours): a step of w_D that is long enough at the start makes the gates swing at the end.
    mixer_step: the longest a step of all the mixer's parameters together may be before the schedule shortens it, as a
        Euclidean norm (ours); 0 for no such bound, as in the paper. The gradient of w_D grows with W_O, a hundredfold
        in the locality task.

    Source: arXiv 2602.12499, Eqs. 2-6. hidden=50, the thresholds on loss, the backbone and the descent are the paper's;
    every other default is ours.
    """

    tuning_factors = (1 / 10, 1 / 3, 1.0, 3.0, 10.0)

    def build(self, cell: Cell, task: Task, *, seed: int) -> Any:
        from harness.training.build import backbone_generator, mixing
        from harness.training.paper.model import PaperModel

        routing, make_mixer = mixing(cell, task, self.shape, width=task.features, seed=seed)
        generator = backbone_generator(task, self.shape, seed)
        return PaperModel(self, features=task.features, make_mixer=make_mixer, routing=routing, generator=generator)

    def train(self, run: Run, task: Task, report: Report) -> Outcome:
        from harness.training.paper.train import Trial, train_trials

        (outcome,) = train_trials([Trial(run, task, self, report)], self)
        if isinstance(outcome, Diverged):
            raise outcome
        return outcome

    def train_together(
        self, runs: Sequence[Run], task: Task, reports: Sequence[Report], *, cuda_graphs: bool = False
    ) -> tuple[list[Outcome | Diverged], dict[str, Any]]:
        from harness.training.paper.together import StackedGradient
        from harness.training.paper.train import Trial, train_trials

        trials = [Trial(run, task, self, report) for run, report in zip(runs, reports, strict=True)]
        return train_trials(trials, self, StackedGradient(trials, self)), {}
