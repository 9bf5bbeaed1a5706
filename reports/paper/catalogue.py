"""All experiments, in the order of the paper."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UserError, nearest

from . import architectures, locality, majority, rates, regime, robustness, sizes, stacks, ungated
from .experiment import Experiment

ORDER = (
    "fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig11", "fig12", "fig13", "fig14", "fig15", "fig16", "fig17",
    "fig18", "table3", "thm1", "thm2", "sign", "regime", "robustness",
)  # fmt: skip

_FOUND = {
    experiment.id: experiment
    for module in (majority, locality, ungated, sizes, architectures, stacks, rates, regime, robustness)
    for experiment in module.EXPERIMENTS
}
EXPERIMENTS: tuple[Experiment, ...] = tuple(_FOUND[name] for name in ORDER)


def chosen(names: Sequence[str]) -> list[Experiment]:
    """The experiments of these ids, in the order of the paper; all of them where none is named.

    Raises:
        UserError: an id that is not known.
    """
    for name in names:
        if name not in _FOUND:
            raise UserError(f"paper: {name!r} is no experiment; {nearest(name, ORDER)}")
    return [experiment for experiment in EXPERIMENTS if not names or experiment.id in names]
