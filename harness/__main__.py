"""The command line: `python -m harness`. Each command is a module of `harness.commands`, imported when it is used.

Exit codes: 0 (unsupported cells included), 1 a run failed, 2 user error, 130 interrupted. Tables on standard output,
progress and errors on standard error.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from harness.contracts.errors import Unsupported, UserError

COMMANDS = {
    "run": "run cells of task x architecture x scan and print one table",
    "decide": "add seeds until each declared comparison is decided: better, worse or equivalent within a margin",
    "list": "list tasks, architectures, scans and protocols with their parameters",
    "show": "show one entry's card: a scan's drawing and locality, a task's example and ceilings",
    "paper": "run and report the figures and theorems of arXiv 2602.12499",
    "scan-orders": "run and report the study of scan orders: which one, for which architecture and task",
    "architectures": "run and report the study of architectures: what each can do on the same tasks, at what cost",
    "known-answers": "run published claims of the field and give each a verdict",
    "study": "plan, run, watch and report a study that is written down in a TOML file",
    "report": "write a Markdown report with tables and figures from a store",
    "export": "write a store's runs as CSV, JSON Lines or Parquet",
    "import": "take runs that export wrote as JSON Lines or Parquet into a store",
    "rerun": "run one stored run again and say whether it comes out the same",
    "speed": "time mixers alone over a sweep of lengths: growth of time and memory, and where one overtakes another",
    "check": "hold what a plug-in registers to the contracts and say what to mend",
    "slides": "check feature bags; run and report the study of scan orders on whole slides read from disk",
    "make-slides": "write synthetic whole-slide feature bags to disk, as CLAM or TRIDENT would",
    "gpu-check": "do everything that needs a GPU, in pieces that can be resumed, and write docs/gpu.md",
    "doctor": "say what is installed, which kernels can run here, and how to get what is missing",
}


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        print(f"error: {message}; see: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def make_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands; only the chosen one declares its options, so that the others need no import."""
    parser = Parser(
        prog="python -m harness",
        description="Compares sequence architectures and scan orders, with honest error bars.",
        epilog="A spec is name:key=value,key=value, for example locality2d:height=16,width=16 or random:seed=3."
        " On the scan axis modifiers follow (window:size=2.reversed) and routes join with + (horizontal+vertical).",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == chosen:
            _module(name).add_arguments(command)
    return parser


def _module(command: str) -> ModuleType:
    module = {"import": "import_"}.get(command, command.replace("-", "_"))  # a keyword is no module's name
    return importlib.import_module(f"harness.commands.{module}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        words = sys.argv[1:] if arguments is None else arguments
        options = make_parser(next(iter(words), None)).parse_args(words)
        return _module(options.command).main(options)
    except (UserError, Unsupported) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished runs are in the store, the same command goes on from there", file=sys.stderr)
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"error: {error}", file=sys.stderr)
            return 1
        sys.stderr.close()  # whoever read our output went away; that is no error of ours
        return 0


if __name__ == "__main__":
    sys.exit(main())
