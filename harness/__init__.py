"""Compares sequence architectures and scan orders, and says honestly what is known afterwards.

    import harness
    frame = harness.run(task="locality2d", architecture=["gated-ssm", "mamba"], scan=["horizontal", "hilbert"], seeds=5)
    frame = harness.load("results.sqlite")

Both give a pandas DataFrame with a row a run. Everything heavy is imported when it is first needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contracts.errors import Unsupported, UserError

if TYPE_CHECKING:
    import pandas as pd

    from harness.running.loggers import RunLogger

__version__ = "0.1.0"
__all__ = ["Unsupported", "UserError", "decide", "load", "run"]


def run(
    *,
    task: str | Sequence[str] = "locality2d",
    architecture: str | Sequence[str] | None = None,
    scan: str | Sequence[str] = "horizontal",
    protocol: str | Sequence[str] = "standard",
    include: Sequence[Mapping[str, str]] = (),
    exclude: Sequence[Mapping[str, str]] = (),
    seeds: int | Iterable[int] = 3,
    device: str = "auto",
    dtype: str = "float32",
    store: str | Path | None = None,
    tune: bool | Mapping[str, Any] = False,
    decide: bool | Mapping[str, Any] = False,
    primary: tuple[str, str] | None = None,
    fresh: bool = False,
    timing: bool = True,
    workers: int | None = None,
    plugins: Sequence[str] = (),
    quiet: bool = True,
    replicas: int = 1,
    cuda_graphs: bool = False,
    sinks: Sequence[str | RunLogger] = (),
    executor: Mapping[str, Any] | None = None,
    name: str = "results",
    title: str = "",
) -> pd.DataFrame:
    """Run every combination of the axes with every seed, as `python -m harness run` does.

    What the store has already is not run again. Axes take spec strings, one or several.

    Args:
        include, exclude: further cells, and patterns of cells to leave out, as tables of a study file.
        seeds: how many (0, 1, ...), or which.
        store: a file; NAME.sqlite by default.
        tune: choose each cell's learning rate on validation first, from one grid for all: {"rates": [...], "seeds": 2}.
        decide: add seeds until each comparison is decided, instead of so many: {"margin": 0.01, "alpha": 0.05,
            "max_seeds": 64, "by": "scan", "budget": "2h"}, each as it is here if it is not given, but by and budget.
        primary: the declared pair of scans, horizontal and hilbert by default.
        fresh: run again what the store has.
        workers: worker processes, as many as processors by default; 0 runs in this process.
        replicas: how many seeds of a cell train together; more than one on a GPU only.
        cuda_graphs: replay the training step as a CUDA graph; on a GPU only.
        sinks: where runs are shown beside the store while they go on: "tensorboard:logs", "mlflow:URI", or a
            `harness.running.loggers.RunLogger` of yours.
        executor: where runs are done and what one may take, as the table of that name in a study file:
            {"time_limit": 600}, {"kind": "ray", "address": "auto"}; see `harness.running.execution.Execution`.

    Returns:
        a row a run with the columns of `harness.store.dataframe.COLUMNS`, and `curve`.

    Raises:
        UserError: something asked for is wrong; one line that says what.
    """
    asked = dict(locals())  # every argument by its name; they become one request
    from harness.running.answer import run_request
    from harness.running.request_text import request_from_python
    from harness.store.dataframe import frame_of

    asked["sinks"] = [sink for sink in sinks if isinstance(sink, str)]
    objects = [sink for sink in sinks if not isinstance(sink, str)]
    del asked["quiet"]
    outcome = run_request(request_from_python(asked), quiet=quiet, loggers=objects)
    frame = frame_of(outcome.records, outcome.timings)
    return frame.assign(curve=[record.get("curve") for record in outcome.records])


def decide(
    *,
    task: str | Sequence[str] = "locality2d",
    architecture: str | Sequence[str] | None = None,
    scan: str | Sequence[str] = "horizontal",
    protocol: str | Sequence[str] = "standard",
    margin: float = 0.01,
    alpha: float = 0.05,
    max_seeds: int = 64,
    by: str | None = None,
    budget: str | None = None,
    device: str = "auto",
    store: str | Path | None = None,
    tune: bool | Mapping[str, Any] = False,
    workers: int | None = None,
    plugins: Sequence[str] = (),
    quiet: bool = True,
) -> pd.DataFrame:
    """Add seeds until each comparison is decided, as `python -m harness decide` does; nothing runs twice.

    Compared are cells that differ on one axis alone, the first of each such group with every other of it.

    Args:
        margin: a difference in test accuracy that does not matter.
        alpha: the probability of any wrong decision among all, although one looks after every seed.
        max_seeds: after these a comparison stays undecided.
        by: the axis: scan, architecture or protocol; the first of them that has several entries if it is not given.
        budget: no further seeds are begun after this time: 90s, 30m, 2h.

    Returns:
        a row a comparison: its cells, decision (better, worse, equivalent or undecided; the second beside the first),
        effect with low and high, seeds, runs and their seconds.

    Raises:
        UserError: something asked for is wrong, or there is nothing to compare.
    """
    rule = {"margin": margin, "alpha": alpha, "max_seeds": max_seeds, "by": by, "budget": budget}
    names = ("task", "architecture", "scan", "protocol", "device", "store", "tune", "workers", "plugins")
    values = locals()
    asked = {name: values[name] for name in names}
    import pandas as pd

    from harness.running.answer import run_request
    from harness.running.request_text import request_from_python

    given = {name: value for name, value in rule.items() if value is not None}
    outcome = run_request(request_from_python({**asked, "decide": given, "timing": False}), quiet=quiet)
    return pd.DataFrame([decided.row for decided in outcome.decided])


def load(path: str | Path, *, tuning: bool = False, curves: bool = False) -> pd.DataFrame:
    """Read a store into a DataFrame, a row a run: final runs; tuning runs and a column `curve` on request.

    Raises:
        UserError: no such file, or not a store.
    """
    from harness.store.dataframe import load as load_frame

    return load_frame(path, tuning=tuning, curves=curves)
