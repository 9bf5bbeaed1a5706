"""Every architecture's output and gradients against its plain float64 reference, in each number format of the device.

One piece for each module of `architectures`, made from the registry: a new architecture is checked without a line here.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from harness.analysis.tolerances import agrees
from harness.contracts.errors import Unsupported, is_out_of_memory
from harness.contracts.mixer import Mixer
from harness.timing.checking import relative_difference
from harness.training.execute import first_line
from harness.training.precision import precision

from .bench import Bench
from .mixers import Shape, build, families, inputs
from .pieces import Piece, Row, Rows, add

CHECKING = "harness.timing.checking"
SMALLEST_PART = 1e-3
"""A parameter whose gradient stays below this share of the largest gradient is held to that share: of sums that cancel
to nothing only rounding is left."""


AS_FAR = 2.0
"""A path this many times as far from float64 as the plain form in the same format is as far."""


FULL = (
    Shape(batch=4, length=33, width=64),
    Shape(batch=8, length=256, width=64, padded=True),
    Shape(batch=4, length=1024, width=128),
)
SMALL = (Shape(batch=4, length=17, width=32), Shape(batch=4, length=40, width=32, padded=True))


def differences(
    mixer: Mixer, x: Tensor, mask: Tensor | None, coords: Tensor, *, run: Any = None
) -> tuple[float, dict[str, float]]:
    """How far the path that runs, or another `run` of the mixer, stands from the float64 reference.

    Returns:
        (output, gradients): the largest difference over the reference's largest entry; gradients by name, "x" for the
        input's.
    """
    plain = copy.deepcopy(mixer).double()
    fast, fast_gradients = _output_and_gradients(mixer, run or mixer, x, mask, coords)
    slow, slow_gradients = _output_and_gradients(plain, plain.reference, x.double(), mask, coords)
    largest = max((float(gradient.abs().max()) for gradient in slow_gradients.values()), default=0.0)
    errors = {}
    for name, expected in slow_gradients.items():
        floor = SMALLEST_PART * largest / max(float(expected.abs().max()), 1e-300)
        errors[name] = relative_difference(fast_gradients[name], expected) / max(1.0, floor)
    return relative_difference(fast, slow), errors


def _output_and_gradients(
    mixer: Mixer, run: Any, x: Tensor, mask: Tensor | None, coords: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    x = x.clone().requires_grad_()
    wanted = {"x": x} | {name: each for name, each in mixer.named_parameters() if each.requires_grad}
    y = run(x, mask, coords)
    y = y if mask is None else y[mask]
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(2)).to(y.device)
    found = torch.autograd.grad((y * direction).sum(), list(wanted.values()), allow_unused=True)
    gradients = {name: gradient for name, gradient in zip(wanted, found, strict=True) if gradient is not None}
    return y.detach(), gradients


def check(spec: str, shape: Shape, dtype: str, bench: Bench) -> Row:
    """One architecture at one shape in one format."""
    case = f"{spec} {dtype} {shape}"
    try:
        with precision(dtype, bench.device):
            mixer = build(spec, shape, bench)
            given = inputs(shape, bench.device)
            output, gradients = differences(mixer, *given)
            kernel, worst = mixer.kernel, max(gradients.values())
            passed, note = agrees(output, worst, dtype=dtype), ""
            if not passed and dtype != "float32":
                own, own_gradients = differences(mixer, *given, run=mixer.reference)
                passed, note = judged_again(output, worst, own, max(own_gradients.values()))
    except Unsupported as error:
        return Row(case=case, passed=None, found=f"unsupported: {error}")
    except Exception as error:  # the other shapes and formats go on
        passed = None if is_out_of_memory(error) else False
        return Row(case=case, passed=passed, found=first_line(error))
    facts = {"output_error": output, "gradient_errors": gradients, "kernel": kernel, "dtype": dtype}
    where = max(gradients, key=lambda name: gradients[name])
    found = f"output {output:.0e}, gradients {worst:.0e} ({where}); {kernel}{note}"
    return Row(case=case, passed=passed, found=found, facts=facts)


def judged_again(output: float, gradient: float, own: float, own_gradient: float) -> tuple[bool | None, str]:
    """Of errors over the format's tolerance: wrong, unless the plain form itself, computed in that format, is as far.

    Then the numbers are ill-conditioned there and decide nothing: None. NaN is wrong.
    """
    if output <= AS_FAR * own and gradient <= AS_FAR * own_gradient:
        return None, f"; not judged: the plain form in this format is off by {own:.0e}/{own_gradient:.0e} itself"
    return False, ""


def rows(specs: tuple[str, ...], bench: Bench) -> Rows:
    """Architectures x formats x shapes."""
    for spec in specs:
        for dtype in bench.dtypes:
            for shape in bench.pick(FULL, SMALL):
                yield check(spec, shape, dtype, bench)


for _module, _names in families():
    _family = _module.rpartition(".")[2].replace("_", "-")
    add(
        Piece(
            name=f"architecture-{_family}",
            title=f"output and gradients of {', '.join(_names)}",
            minutes=1 + len(_names) / 2,
            run=partial(rows, _names),
            modules=(__name__, _module, CHECKING),
        )
    )
