"""`known-answers`: published claims of the field, run here; `show` prints one claim with all that is declared of it."""

from __future__ import annotations

import argparse
import importlib

from ._page_command import PageCommand


def _show_arguments(action: argparse.ArgumentParser) -> None:
    action.add_argument("id", metavar="ID", help="of a claim (see: known-answers list)")


def _show(options: argparse.Namespace) -> int:
    study = importlib.import_module("harness.reports.known_answers.study")
    card = importlib.import_module("harness.reports.known_answers.card")
    (claim,) = study.chosen([options.id])
    print("\n".join(card.lines_of(claim)))
    return 0


def _verdicts_arguments(action: argparse.ArgumentParser) -> None:
    text = "a store, or runs of export (default: known-answers.sqlite)"
    action.add_argument("--store", default="known-answers.sqlite", metavar="FILE", help=text)


def _verdicts(options: argparse.Namespace) -> int:
    page = importlib.import_module("harness.reports.known_answers.page")
    strip = importlib.import_module("harness.reports.known_answers.strip")
    judged, _ = page.judged_of(COMMAND.recorded(options.store)[0])
    print(strip.text_of(page.verdicts_of(judged)), end="")
    return 0


def _list(options: argparse.Namespace) -> int:
    study = importlib.import_module("harness.reports.known_answers.study")
    print("\n".join(study.describe("default")))
    return 0


COMMAND = PageCommand(
    name="known-answers",
    actions={
        "list": ("every claim: what it costs, and what it says", lambda action: None, _list),
        "show": ("one claim: source, settings, what was reduced, cells and rules", _show_arguments, _show),
        "verdicts": (
            "print verdicts, as verdicts.toml keeps them for other pages",
            _verdicts_arguments,
            _verdicts,
        ),
    },
)
add_arguments, main = COMMAND.add_arguments, COMMAND.main
