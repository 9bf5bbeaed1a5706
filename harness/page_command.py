"""`list`, `run` and `report` of a study that has a page of its own; its command says only what is different.

The study's package (`harness.reports.NAME.command`) gives PLANS (quick, default, full: seeds or None -> Plan),
sentences(records) and write_page(records, timings, path, store=name). It is imported when it is used.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UserError
from .execution_options import add_execution_arguments, execution_asked


@dataclass(frozen=True, kw_only=True)
class PageCommand:
    """name: of the command, with hyphens. full: what `--full` adds, for its help."""

    name: str
    full: str

    @property
    def store(self) -> str:
        return f"{self.name}.sqlite"

    @property
    def page(self) -> str:
        return f"{self.name}.md"

    @property
    def study(self) -> Any:
        return importlib.import_module(f"harness.reports.{self.name.replace('-', '_')}.command")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        actions.add_parser("list", help="the three sizes of the study: tasks, architectures, orders, runs")
        run = actions.add_parser("run", help="run the study; what the store has is not run again")
        size = run.add_mutually_exclusive_group()
        size.add_argument("--quick", action="store_true", help="a minute, to see that everything works")
        size.add_argument("--full", action="store_true", help=self.full)
        run.add_argument("--seeds", type=int, metavar="N", help=f"seeds of every cell (see: {self.name} list)")
        run.add_argument("--store", default=self.store, metavar="FILE", help=f"default: {self.store}")
        run.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
        run.add_argument("--fresh", action="store_true", help="run again what the store has, and replace it")
        run.add_argument("--quiet", action="store_true", help="no progress on standard error")
        add_execution_arguments(run, default="default: a process a processor")
        report = actions.add_parser("report", help="write one Markdown page with figures from the store")
        report.add_argument("--store", default=self.store, metavar="FILE", help=f"default: {self.store}")
        report.add_argument(
            "-o", "--output", default=self.page, metavar="FILE", help=f"a .md or an .html file (default: {self.page})"
        )

    def main(self, options: argparse.Namespace) -> int:
        """Do what was asked."""
        return {"list": self._list, "run": self._run, "report": self._report}[options.action](options)

    def _list(self, options: argparse.Namespace) -> int:
        from .cells import short

        for name, make in self.study.PLANS.items():
            plan = make()
            print(f"{name}: {plan.text.partition(': ')[2]}")
            for axis in ("task", "architecture", "scan"):
                texts = dict.fromkeys(getattr(cell, axis) for cell in plan.cells)
                print(f"  {axis}: {' '.join(short(axis, text) for text in texts)}")
            for text in dict.fromkeys(cell.protocol for cell in plan.cells):
                print(f"  protocol: {short('protocol', text)}")
            primary = f" ({plan.primary_seeds} under horizontal and hilbert)" if plan.primary_seeds > plan.seeds else ""
            print(f"  seeds: {plan.seeds}{primary}")
        return 0

    def _run(self, options: argparse.Namespace) -> int:
        from harness.reports.plan import run_plan  # pyright: ignore[reportMissingImports]

        from .api import resolve_device
        from .ending import tell_ending
        from .execution import execution_from
        from .progress import Progress
        from .store import Store

        if options.seeds is not None and not 1 <= options.seeds <= 100_000:
            raise UserError(f"--seeds is from 1 to 100000, got {options.seeds}")
        execution = execution_from(execution_asked(options))
        device = resolve_device(options.device, execution)
        plan = self.study.PLANS["quick" if options.quick else "full" if options.full else "default"](options.seeds)
        with Store(options.store) as store:
            if not options.quiet:
                print(plan.text, file=sys.stderr)
            outcomes = run_plan(
                plan,
                store,
                execution=execution,
                device=device,
                progress=Progress(quiet=options.quiet),
                fresh=options.fresh,
            )
        records = [record for outcome in outcomes for record in outcome.records]
        for sentence in self.study.sentences(records):
            print(sentence.replace("**", ""))
        code = tell_ending(outcomes, options.store)
        if not options.quiet:
            print(f"the page: python -m harness {self.name} report --store {options.store}", file=sys.stderr)
        return code

    def _report(self, options: argparse.Namespace) -> int:
        from harness.reports.html_page import page_path, write_as  # pyright: ignore[reportMissingImports]

        from .store import Store

        path = page_path(options.output, subject=f"{self.name} report")
        with Store(options.store, read_only=True, made_by=f"{self.name} run --store {{path}}") as store:
            records = [record for record in store.records(tuning=True) if record["protocol"].startswith("standard:")]
            timings = store.timings()
        if not any(record["purpose"] == "final" for record in records):
            raise UserError(
                f"{self.name} report: {options.store} holds no runs of it; make some with:"
                f" python -m harness {self.name} run"
            )
        name = Path(options.store).name
        pictures = write_as(path, lambda page: self.study.write_page(records, timings, page, store=name))
        print(f"{path} with {len(pictures)} figures" if pictures else str(path), file=sys.stderr)
        return 0
