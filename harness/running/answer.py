"""From a request to a report, in one function."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.summary import findings_of, rows_of
from harness.analysis.tables import render
from harness.store.store import Store

from .controls import controls_by_table
from .execution import resolve_device
from .loggers import RunLogger
from .open_loggers import opened
from .progress import Progress
from .request import Request
from .runner import Outcome, Runner, make_executor


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
    study = request.study(resolve_device(request.device, request.executor))  # plug-ins loaded, cells made and checked
    primary = request.primary_pair
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
        records = runner.run(study, cells)  # written one by one as they finish
        runner.time(study, cells, records)  # all cells interleaved, workers idle
    outcome = runner.outcome
    if form is not None:
        rows = rows_of(outcome.records, outcome.timings)
        with Store(request.store_path) as store:
            controls = controls_by_table(store, rows, overwrite=request.overwrite)
        outcome.table = render(rows, findings_of(rows, primary), form=form, width=width, controls=controls)
    return outcome
