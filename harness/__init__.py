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
__all__ = ["Unsupported", "UserError", "load", "run"]


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


def load(path: str | Path, *, tuning: bool = False, curves: bool = False) -> pd.DataFrame:
    """Read a store into a DataFrame, a row a run: final runs; tuning runs and a column `curve` on request.

    Raises:
        UserError: no such file, or not a store.
    """
    from harness.store.dataframe import load as load_frame

    return load_frame(path, tuning=tuning, curves=curves)
