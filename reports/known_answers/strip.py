"""The strip of known answers, for this study's page and for any other page whose cells a claim speaks of."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.registry.specs import parse_spec

from ..page import KnownAnswer
from ..text import counted
from .claim import AS_PUBLISHED, Claim
from .rules import Verdict
from .study import claims

VERDICTS = Path(__file__).parent / "verdicts.toml"
"""The verdicts of docs/known-answers.md, so that pages made from other records can show them; a test holds the two
together."""

REPRODUCED = {Verdict.REPRODUCED: True, Verdict.NOT_REPRODUCED: False}


@functools.cache
def kept_verdicts() -> dict[str, Verdict]:
    """The verdict of each claim that has one, by its id."""
    if not VERDICTS.is_file():
        return {}
    return {name: Verdict(text) for name, text in tomllib.loads(VERDICTS.read_text(encoding="utf-8")).items()}


def text_of(verdicts: Mapping[str, Verdict]) -> str:
    """What `verdicts.toml` holds; claims that were not run are left out."""
    head = "# Verdicts of docs/known-answers.md, by claim; what is missing was not run.\n"
    kept = {name: verdict for name, verdict in verdicts.items() if verdict != Verdict.NOT_RUN}
    return head + "".join(f'{name} = "{kept[name]}"\n' for name in sorted(kept))


def strip(found: Iterable[Claim], verdicts: Mapping[str, Verdict]) -> list[KnownAnswer]:
    """Claims as a page shows them: what is reproduced first, then what is not, then what is not known."""
    order = list(Verdict)
    told = sorted(found, key=lambda claim: order.index(verdicts.get(claim.id, Verdict.NOT_RUN)))
    return [_answer(claim, verdicts.get(claim.id, Verdict.NOT_RUN)) for claim in told]


def strip_for(*, tasks: Iterable[str] = (), architectures: Iterable[str] = ()) -> list[KnownAnswer]:
    """The claims that speak of any of these tasks and of any of these architectures, with the verdicts kept; those that
    were not run are counted in one line.

    Args:
        tasks, architectures: specs or names; parameters do not matter. None of one axis: whichever.
    """
    wanted = {"task": _names("task", tasks), "architecture": _names("architecture", architectures)}

    def concerns(claim: Claim) -> bool:
        return any(
            all(not names or _name(axis, getattr(cell, axis)) in names for axis, names in wanted.items())
            for cell in claim.cells.values()
        )

    verdicts = kept_verdicts()
    found = [claim for claim in claims().values() if concerns(claim)]
    told = [claim for claim in found if verdicts.get(claim.id, Verdict.NOT_RUN) != Verdict.NOT_RUN]
    missing = counted(len(found) - len(told), "more claim" if told else "claim")
    rest = KnownAnswer(statement=f"{missing} not run here", source="known-answers list", reproduced=None)
    return [*strip(told, verdicts), *([rest] if len(found) > len(told) else [])]


def _answer(claim: Claim, verdict: Verdict) -> KnownAnswer:
    how = "" if claim.setting == AS_PUBLISHED else ", in a reduced setting"
    return KnownAnswer(
        statement=f"{claim.statement}: {verdict}{how if verdict != Verdict.NOT_RUN else ''}",
        source=claim.source.paper,
        reproduced=REPRODUCED.get(verdict),
    )


def _names(axis: str, texts: Iterable[str]) -> set[str]:
    return {_name(axis, text) for text in texts}


def _name(axis: str, text: str) -> str:
    return parse_spec(text, axis=axis).name
