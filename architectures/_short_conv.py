"""The option that mixers without a convolution of their own share: a short one in front of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

from harness.contracts.light import Mixer
from harness.registry import Added, Range

CONV = inspect.Parameter(
    "conv", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=Annotated[int, Range(0, 64), Added()]
)
CARD = """
    conv: taps of a short convolution in front, through which the mixer reads: x + conv(x), causal, a filter a channel,
        the Canon layer of Allen-Zhu, arXiv 2512.17351, in its place A (theirs: 4 taps). 0: none.
    """


def with_short_conv(factory: Callable[..., Mixer]) -> Callable[..., Mixer]:
    """Give a factory of mixers the parameter `conv`; one that asks for no width or generator is then given them.

    >>> @architectures.register("identity", version=1)  # doctest: +SKIP
    ... @with_short_conv
    ... def identity() -> Mixer: ...
    """
    own = inspect.signature(factory)
    asked = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("width", "generator")]

    @functools.wraps(factory)
    def build(*, conv: int = 0, **arguments: Any) -> Mixer:
        mixer = factory(**{name: value for name, value in arguments.items() if name in own.parameters})
        if not conv:
            return mixer
        from .layers.short_conv import ShortConv

        return ShortConv(mixer, arguments["width"], arguments["generator"], taps=conv)

    asked = [argument for argument in asked if argument.name not in own.parameters]
    build.__signature__ = own.replace(parameters=[*asked, *own.parameters.values(), CONV])  # type: ignore[attr-defined]
    described = any(argument.default is not argument.empty for argument in own.parameters.values())
    build.__doc__ = inspect.cleandoc(factory.__doc__ or "") + ("\n" if described else "\n\n") + inspect.cleandoc(CARD)
    return build
