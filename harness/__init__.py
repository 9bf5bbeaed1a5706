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

from .errors import Unsupported, UserError

if TYPE_CHECKING:
    import pandas as pd

    from .sinks import Sink

__version__ = "0.1.0"
__all__ = ["Unsupported", "UserError", "load", "run"]


def run(
    *,
    task: str | Sequence[str] = "locality2d",
    architecture: str | Sequence[str] | None = None,
    scan: str | Sequence[str] = "horizontal",
    protocol: str | Sequence[str] = "standard",
    seeds: int | Iterable[int] = 3,
    device: str = "auto",
    dtype: str = "float32",
    store: str | Path = "results.sqlite",
    tune: bool = False,
    fresh: bool = False,
    timing: bool = True,
    workers: int | None = None,
    plugins: Sequence[str] = (),
    quiet: bool = True,
    replicas: int = 1,
    cuda_graphs: bool = False,
    sinks: Sequence[str | Sink] = (),
    executor: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Run every combination of the axes with every seed, as `python -m harness run` does.

    What the store has already is not run again. Axes take spec strings, one or several.

    Args:
        seeds: how many (0, 1, ...), or which.
        tune: choose each cell's learning rate on validation first, from one grid for all.
        workers: worker processes, as many as processors by default; 0 runs in this process.
        replicas: how many seeds of a cell train together; more than one on a GPU only.
        cuda_graphs: replay the training step as a CUDA graph; on a GPU only.
        sinks: where runs are shown beside the store while they go on: "tensorboard:logs", "mlflow:URI", or a
            `harness.sinks.Sink` of yours.
        executor: where runs are done and what one may take, as the table of that name in a study file:
            {"time_limit": 600}, {"kind": "ray", "address": "auto"}; see `harness.execution.Execution`.

    Returns:
        a row a run with the columns of `harness.frame.COLUMNS`.

    Raises:
        UserError: something asked for is wrong; one line that says what.
    """
    from .api import run_and_load

    return run_and_load(
        tasks=[task] if isinstance(task, str) else task,
        architectures=[architecture] if isinstance(architecture, str) else architecture,
        scans=[scan] if isinstance(scan, str) else scan,
        protocols=[protocol] if isinstance(protocol, str) else protocol,
        seeds=range(seeds) if isinstance(seeds, int) else list(seeds),
        device=device,
        dtype=dtype,
        store=store,
        tune=tune,
        fresh=fresh,
        timing=timing,
        workers=workers,
        plugins=plugins,
        quiet=quiet,
        replicas=replicas,
        cuda_graphs=cuda_graphs,
        sinks=sinks,
        executor=executor,
    )


def load(path: str | Path, *, tuning: bool = False) -> pd.DataFrame:
    """Read a store into a DataFrame, a row a run: final runs, tuning runs on request.

    Raises:
        UserError: no such file, or not a store.
    """
    from .frame import load as load_frame

    return load_frame(path, tuning=tuning)
