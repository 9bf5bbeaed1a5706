"""`list`, `run` and `report` of a study that has a page of its own: `harness.registry.study.PageStudy`."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.contracts.errors import UserError
from harness.registry.study import PageStudy

from ._options import add_execution_arguments, add_run_arguments, execution_of, write_page


@dataclass(frozen=True, kw_only=True)
class PageCommand:
    """name: of command and study, with hyphens. actions: further ones, or in place of `list`, each with help, arguments
    and what it does.
    """

    name: str
    actions: dict[str, tuple[str, Callable[..., None], Callable[..., int]]] = field(default_factory=dict)

    @property
    def study(self) -> PageStudy:
        return importlib.import_module(f"harness.reports.{self.name.replace('-', '_')}.command").STUDY

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        study, store, page = self.study, f"{self.name}.sqlite", f"{self.name}.md"
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        for name, (text, declare, _) in self.actions.items():
            declare(actions.add_parser(name, help=text))
        if "list" not in self.actions:
            actions.add_parser("list", help="what each size of the study runs")
        run = actions.add_parser("run", help="run the study; what the store has is not run again")
        size = run.add_mutually_exclusive_group()
        for name, text in study.sizes.items():
            if name != "default":
                size.add_argument(f"--{name}", dest="size", action="store_const", const=name, help=text)
        run.add_argument("--seeds", type=int, metavar="N", help=f"of every cell (see: {self.name} list)")
        run.add_argument("--trials", dest="seeds", type=int, help=argparse.SUPPRESS)  # the paper's word
        for option in study.options:
            many: dict[str, Any] = {} if option.name.startswith("-") else {"nargs": "*"}
            run.add_argument(option.name, default=option.default, type=option.type, help=option.help, **many)
        run.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
        add_run_arguments(run, store=store)
        add_execution_arguments(run, default="default: a process a processor")
        report = actions.add_parser("report", help="write one page with figures from the store")
        report.add_argument("--store", default=store, metavar="FILE", help=f"or runs of export (default: {store})")
        text = f"a .md or an .html file (default: {page})"
        report.add_argument("-o", "--output", default=page, metavar="FILE", help=text)

    def main(self, options: argparse.Namespace) -> int:
        """Do what was asked."""
        own = {name: do for name, (_, _, do) in self.actions.items()}
        return ({"list": self._list, "run": self._run, "report": self._report} | own)[options.action](options)

    def _list(self, options: argparse.Namespace) -> int:
        for size, text in self.study.sizes.items():
            print("\n  ".join([f"{size}: {text}", *self.study.describe(size)]))
        return 0

    def _run(self, options: argparse.Namespace) -> int:
        from harness.running.design import run_design
        from harness.running.ending import report_failures
        from harness.running.request import request_from

        if options.seeds is not None and not 1 <= options.seeds <= 100_000:
            raise UserError(f"--seeds is from 1 to 100000, got {options.seeds}")
        values = {"name": self.name, "device": options.device, "overwrite": options.overwrite}
        values |= {"executor": execution_of(options)} | ({"store": options.store} if options.store else {})
        request = request_from(values)
        names = [option.name.lstrip("-").replace("-", "_") for option in self.study.options]
        own = {name: getattr(options, name) for name in names}
        design = self.study.design(options.size or "default", options.seeds, **own)
        outcome = run_design(request, design, quiet=options.quiet)
        for sentence in self.study.sentences(outcome.records):
            print(sentence.replace("**", ""))
        code = report_failures(outcome, request.store_path)
        if not options.quiet:
            print(f"the page: python -m harness {self.name} report --store {request.store_path}", file=sys.stderr)
        return code

    def recorded(self, path: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The study's records, tuning runs too, and timing rows, of a store or of a file that `export` wrote."""
        from harness.store.exchange import read_recorded
        from harness.store.store import Store

        if Path(path).suffix in (".jsonl", ".parquet"):
            found, timings = read_recorded(Path(path))
        else:
            with Store(path, read_only=True, made_by=f"{self.name} run --store {{path}}") as store:
                found, timings = store.records(tuning=True), store.timings()
        return [record for record in found if self.study.wants(record)], timings

    def _report(self, options: argparse.Namespace) -> int:
        from harness.reports.html_page import page_path  # pyright: ignore[reportMissingImports]

        path = page_path(options.output, subject=f"{self.name} report")
        records, timings = self.recorded(options.store)
        if not any(record["purpose"] == "final" for record in records):
            cure = f"python -m harness {self.name} run"
            raise UserError(f"{self.name} report: {options.store} holds no runs of it; make some with: {cure}")
        name = Path(options.store).name
        # Names alone: the same records give the same page in any folder.
        words = ["python", "-m", "harness", self.name, "report", "--store", name, "-o", Path(options.output).name]
        how = {"store": name, "command": shlex.join(words)}
        return write_page(path, lambda page: self.study.write_page(records, timings, page, **how))
