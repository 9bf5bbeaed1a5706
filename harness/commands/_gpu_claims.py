"""The claims of `known-answers` that take a GPU, for `gpu-check`; named in `harness.gpu.catalogue.CLAIMED_BY`.

They are listed with the command that runs them; each takes longer than a piece may.
"""

from __future__ import annotations

import importlib

from harness.gpu.claims import CLAIMS, GpuClaim

_study = importlib.import_module("harness.reports.known_answers.study")
_card = importlib.import_module("harness.reports.known_answers.card")

CLAIMS += [
    GpuClaim(
        name=claim.id,
        title=claim.statement,
        published="; ".join(f"{_card.published_text(each)} ({_card.READ[each.read]})" for each in claim.published),
        source=claim.source.text,
        setting="; ".join([claim.setting, *claim.reduced]),
        minutes=claim.minutes,
        command=claim.command,
    )
    for claim in _study.chosen([], "gpu")
]
