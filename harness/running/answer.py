"""From a request to a report, in one function."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.analysis.summary import findings_of, rows_of
from harness.analysis.tables import render
from harness.store.store import Store

from .controls import controls_by_table
from .deciding import Deciding, forecast, stored
from .declared import comparisons_of
from .execution import resolve_device
from .loggers import RunLogger
from .open_loggers import opened
from .progress import Progress
from .request import Decide, Request
from .runner import Outcome, Runner, make_executor
from .tuning import tune_with


def run_request(
    request: Request,
    *,
    quiet: bool = True,
    loggers: Sequence[RunLogger] = (),
    form: str | None = None,
    width: int | None = None,
) -> Outcome:
    """Do what is asked for and is not in the store yet.

    Args:
        quiet: no progress on standard error. loggers: objects beside those that the request names.
        form: of the table, as `harness.analysis.tables.render` has them; None for no table. width: of a terminal.

    Raises:
        UserError: something asked for is wrong; one line that says what.
    """

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr)

    study = request.study(resolve_device(request.device, request.executor))  # plug-ins loaded, cells made and checked
    primary = request.primary_pair
    if request.rule is not None:
        comparisons_of(study.cells, request.rule.by)  # nothing to compare is said before a store is made
    executor = make_executor(request.executor, study.device, request.plugins)
    with Store(request.store_path) as store, opened([*request.loggers, *loggers]) as opened_loggers:
        runner = Runner(
            store=store,
            executor=executor,
            progress=Progress(quiet=quiet),
            loggers=opened_loggers,
            overwrite=request.overwrite,
            checks=True,
        )
        cells = runner.tune(study)  # each at the rate that does best on validation, on held-out seeds
        if request.rule is None:
            records = runner.run(study, cells)  # written one by one as they finish
        else:
            deciding = Deciding(runner=runner, study=study, cells=cells, rule=request.rule, say=say)
            runner.outcome.decided = deciding.decide()  # seed by seed, where the answer is open
            records = runner.outcome.records
        runner.time(study, cells, records)  # all cells interleaved, workers idle
    outcome = runner.outcome
    if form is not None:
        rows = rows_of(outcome.records, outcome.timings)
        with Store(request.store_path) as store:
            controls = controls_by_table(store, rows, overwrite=request.overwrite)
        outcome.table = render(rows, findings_of(rows, primary), form=form, width=width, controls=controls)
    return outcome


def forecast_request(request: Request) -> str:
    """What deciding will probably cost, from what the store has; nothing is run, and no store is made.

    Raises:
        UserError: there is nothing to compare, or something asked for is wrong.
    """
    study = request.study(resolve_device(request.device, request.executor))
    rule = request.rule or Decide()
    declared = comparisons_of(study.cells, rule.by)
    if not Path(request.store_path).exists():
        return forecast(declared, {}, rule)
    with Store(request.store_path, read_only=True) as store:
        if not study.tune:
            return forecast(declared, stored(store, study, study.cells), rule)
        tuned = tune_with(study, lambda runs: store.find_many(run.key for run in runs))
        if isinstance(tuned, list):
            return f"{len(tuned)} tuning runs come first; what follows can be foretold once they are done"
        return forecast(declared, stored(store, study, tuned.cells, tuned.rates), rule)
