"""One claim in words, for `known-answers show` and for the page."""

from __future__ import annotations

from harness.registry.cells import display_spec

from .claim import Claim, Published
from .study import cells_of

READ = {
    "repository": "read in its repository", "text": "read in the text", "transcription": "from a transcription",
    "plot": "read off a plot, about .01", "memory": "from memory, not checked",
}  # fmt: skip


def published_text(each: Published) -> str:
    """`Mamba 0.998`, or the words alone."""
    return each.of if each.value is None else f"{each.of} {number(each.value)}"


def number(value: float) -> str:
    """An accuracy with as many digits as were published, at least two."""
    text = f"{value:.4f}".rstrip("0")
    return f"{value:.2f}" if len(text) < 4 else text


def lines_of(claim: Claim) -> list[str]:
    """All that is declared of a claim, a line each."""
    what = "; ".join(claim.reduced)
    lines = [
        f"{claim.id}: {claim.statement}",
        f"source: {claim.source.text}",
        *(f"published: {published_text(each)} ({READ[each.read]})" for each in claim.published),
        f"setting, published: {claim.setting_published}",
        f"setting, here: {claim.setting_run} ({claim.setting})",
        *([f"reduced: {what}"] if what else []),
        f"cost: {claim.cost}, about {claim.minutes:g} minutes on one {'GPU' if claim.cost == 'gpu' else 'CPU core'}",
        f"seeds: 0 to {claim.seeds - 1}",
    ]
    if claim.rates:
        lines.append(f"learning rates tried: {' '.join(f'{rate:g}' for rate in claim.rates)}")
    for name, cell in cells_of(claim).items():
        specs = (display_spec(axis, getattr(cell, axis)) for axis in ("task", "architecture", "scan", "protocol"))
        lines.append(f"cell {name}: {' | '.join(specs)}")
    lines += [f"rule: {rule.text}" for rule in claim.rules]
    lines += [f"disputed: {claim.dispute}"] if claim.dispute else []
    return [*lines, f"run: {claim.command}"]
