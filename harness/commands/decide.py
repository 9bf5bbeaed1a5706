"""`decide`: seeds are added until each declared comparison is decided, and one line says how."""

from __future__ import annotations

import argparse
import json
import sys

from .run import add_cell_arguments, print_request, request_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_cell_arguments(parser)
    rule = parser.add_argument_group("when a comparison is decided")
    rule.add_argument("--margin", type=float, help="a difference in accuracy that does not matter (default: 0.01)")
    rule.add_argument("--alpha", type=float, help="probability of any wrong decision among all (default: 0.05)")
    rule.add_argument("--max-seeds", type=int, metavar="N", help="after these it stays undecided (default: 64)")
    rule.add_argument("--budget", metavar="TIME", help="begin no further seeds after this time: 90s, 30m, 2h")
    text = "axis on which cells are compared, the first with each other (default: the first with several entries)"
    rule.add_argument("--by", choices=("scan", "architecture", "protocol"), help=text)
    rule.add_argument("--plan", action="store_true", help="say what it will probably cost; run nothing")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def main(options: argparse.Namespace) -> int:
    """Decide, print a line a comparison; exit code 1 where a run failed, 0 else, undecided ones included."""
    from harness.running.answer import forecast_request, run_request
    from harness.running.ending import report_failures

    names = ("margin", "alpha", "max_seeds", "budget", "by")
    rule = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    request = request_of(options).changed(decide=rule, timing=False)
    if options.print:
        return print_request(request, options.print)
    if options.plan:
        print(forecast_request(request))
        return 0
    outcome = run_request(request, quiet=options.quiet)
    if options.format == "json":
        print(json.dumps([decided.row for decided in outcome.decided], indent=2))
    else:
        print("\n".join(decided.line for decided in outcome.decided))
    if not options.quiet:
        print(f"{outcome.from_store} of {len(outcome.records)} runs came from {request.store_path}", file=sys.stderr)
    return report_failures(outcome, request.store_path)
