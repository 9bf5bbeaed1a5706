"""The strip of known answers, for this study's page and for any other page whose cells a claim speaks of."""

from __future__ import annotations

import functools
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.registry.specs import parse_spec

from ..page import KnownAnswer
from ..text import counted
from .claim import AS_PUBLISHED, COSTS, Claim
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
    """What `verdicts.toml` holds. verdicts: of the claims that were run."""
    head = "# Verdicts of docs/known-answers.md, by claim; what is missing was not run.\n"
    return head + "".join(f'{name} = "{verdicts[name]}"\n' for name in sorted(verdicts))


def strip(found: Iterable[Claim], verdicts: Mapping[str, Verdict]) -> list[KnownAnswer]:
    """Claims as a page shows them: what is reproduced first, then what is not, then what is underpowered; what was not
    run is counted, a line for each cost.
    """
    found, order = list(found), list(Verdict)
    told = sorted((claim for claim in found if claim.id in verdicts), key=lambda claim: order.index(verdicts[claim.id]))
    missing = Counter(claim.cost for claim in found if claim.id not in verdicts)
    return [
        *(_answer(claim, verdicts[claim.id]) for claim in told),
        *(_missing(cost, missing[cost]) for cost in COSTS if missing[cost]),
    ]


def _missing(cost: str, count: int) -> KnownAnswer:
    takes = "a GPU" if cost == "gpu" else cost
    statement = f"{counted(count, 'claim')} that {'take' if count > 1 else 'takes'} {takes}: {Verdict.NOT_RUN}"
    return KnownAnswer(statement=statement, source="known-answers list", reproduced=None)


def strip_for(*, tasks: Iterable[str] = (), architectures: Iterable[str] = ()) -> list[KnownAnswer]:
    """The claims that speak of any of these tasks and of any of these architectures, with the verdicts kept.

    Args:
        tasks, architectures: specs or names; parameters do not matter. None of one axis: whichever.
    """
    wanted = {"task": _names("task", tasks), "architecture": _names("architecture", architectures)}

    def concerns(claim: Claim) -> bool:
        return any(
            all(not names or _name(axis, getattr(cell, axis)) in names for axis, names in wanted.items())
            for cell in claim.cells.values()
        )

    return strip(filter(concerns, claims().values()), kept_verdicts())


def _answer(claim: Claim, verdict: Verdict) -> KnownAnswer:
    how = "" if claim.setting == AS_PUBLISHED else ", in a reduced setting"
    return KnownAnswer(
        statement=f"{claim.statement}: {verdict}{how}",
        source=claim.source.paper,
        reproduced=REPRODUCED.get(verdict),
    )


def _names(axis: str, texts: Iterable[str]) -> set[str]:
    return {_name(axis, text) for text in texts}


def _name(axis: str, text: str) -> str:
    return parse_spec(text, axis=axis).name
