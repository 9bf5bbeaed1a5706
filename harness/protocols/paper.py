"""The paper's protocol: mixer, hidden layer with fixed output signs, mean; hinge loss; full-batch gradient descent."""

from dataclasses import dataclass
from typing import Annotated, Literal

from harness.registry import Range, protocols


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The frame of arXiv 2602.12499 around any mixer, and how it is trained. See `paper`."""

    hidden: int
    depth: int
    signs: str
    init_scale: float
    samples: int
    population: bool
    steps: int
    learning_rate: float
    mixer_rate: float
    schedule: str
    mixer_step: float
    validation_samples: int
    test_samples: int
    evaluate_every: int
    loss_threshold: float
    accuracy_threshold: float
    stop: bool

    timed = False
    tuning_factors = (1 / 10, 1 / 3, 1.0, 3.0, 10.0)

    @property
    def shape(self) -> str:
        """The part that decides the parameters' shapes and scale, and so the initialization."""
        return f"paper:hidden={self.hidden},depth={self.depth},signs={self.signs},init_scale={self.init_scale:g}"

    def threshold_accuracy(self, chance: float) -> float:
        """The test accuracy that counts as "has learned", whatever chance is."""
        return self.accuracy_threshold


@protocols.register("paper", version=2)
def paper(
    *,
    hidden: Annotated[int, Range(2, 65536)] = 50,
    depth: Annotated[int, Range(1, 64)] = 1,
    signs: Literal["balanced", "random"] = "balanced",
    init_scale: Annotated[float, Range(0.0, 10.0)] = 0.01,
    samples: Annotated[int, Range(1, 10_000_000)] = 400,
    population: bool = False,
    steps: Annotated[int, Range(1, 100_000_000)] = 2000,
    learning_rate: Annotated[float, Range(1e-9, 1e6)] = 1.0,
    mixer_rate: Annotated[float, Range(0.0, 1e6)] = 1.0,
    schedule: Literal["constant", "loss"] = "constant",
    mixer_step: Annotated[float, Range(0.0, 1e6)] = 0.0,
    validation_samples: Annotated[int, Range(2, 1_000_000)] = 500,
    test_samples: Annotated[int, Range(2, 1_000_000)] = 2000,
    evaluate_every: Annotated[int, Range(1, 1_000_000)] = 10,
    loss_threshold: Annotated[float, Range(0.0, 1.0)] = 1e-3,
    accuracy_threshold: Annotated[float, Range(0.0, 1.0)] = 0.99,
    stop: bool = True,
) -> Paper:
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

    Source: arXiv 2602.12499, Eqs. 2-6. hidden=50, the thresholds on loss, the frame and the descent are the paper's;
    every other default is ours.
    """
    return Paper(
        hidden=hidden,
        depth=depth,
        signs=signs,
        init_scale=init_scale,
        samples=samples,
        population=population,
        steps=steps,
        learning_rate=learning_rate,
        mixer_rate=mixer_rate,
        schedule=schedule,
        mixer_step=mixer_step,
        validation_samples=validation_samples,
        test_samples=test_samples,
        evaluate_every=evaluate_every,
        loss_threshold=loss_threshold,
        accuracy_threshold=accuracy_threshold,
        stop=stop,
    )
