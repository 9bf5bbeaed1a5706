"""What `harness.run` and the command `run` share: from texts to an outcome."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .cells import Cell, cells_from
from .errors import Unsupported, UserError, nearest
from .executors import Training
from .progress import Progress
from .registry import load_plugin
from .sinks import Sink, opened
from .store import Store
from .study import TUNING_SEEDS, Outcome, Study, run_study

if TYPE_CHECKING:
    import pandas as pd

DTYPES = ("float32", "tf32", "bfloat16")  # `harness.precision` says what they are; it needs torch
MOST_REPLICAS = 1024
DEFAULT_ARCHITECTURES = ("gated-ssm", "mamba", "global-attention", "local-attention", "mean-pool")


def run_outcome(
    *,
    tasks: Sequence[str],
    architectures: Sequence[str] | None,
    scans: Sequence[str],
    protocols: Sequence[str],
    seeds: Sequence[int],
    device: str,
    dtype: str,
    store: str | Path,
    tune: bool,
    fresh: bool,
    timing: bool,
    workers: int | None,
    plugins: Sequence[str],
    quiet: bool,
    replicas: int = 1,
    cuda_graphs: bool = False,
    sinks: Sequence[str | Sink] = (),
) -> Outcome:
    """Resolve the texts, run what is missing, time the cells.

    Raises:
        UserError: something asked for is wrong.
    """
    for plugin in plugins:
        load_plugin(plugin)
    cells = cells_from(tasks, architectures or DEFAULT_ARCHITECTURES, scans, protocols)
    for cell in cells:
        cell.check()
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) >= min(TUNING_SEEDS):
        raise UserError(f"seeds must be different whole numbers from 0 to 999999, got {list(seeds)}")
    if dtype not in DTYPES:
        raise UserError(f"dtype is one of {', '.join(DTYPES)}, got {dtype!r}; {nearest(dtype, DTYPES)}")
    device = resolve_device(device)
    training = training_for(device, replicas, cuda_graphs)
    if workers is None:
        workers = 1 if device == "cuda" else max(1, len(os.sched_getaffinity(0)))
    with Store(store) as records, opened(sinks) as told:
        return run_study(
            Study(cells=cells, seeds=seeds, device=device, dtype=dtype, tune=tune, training=training),
            records,
            workers=workers,
            plugins=plugins,
            fresh=fresh,
            timing=timing,
            progress=Progress(quiet=quiet),
            check=check_before_run,
            sinks=told,
        )


def training_for(device: str, replicas: int, cuda_graphs: bool) -> Training:
    """How the device is to be filled.

    Raises:
        UserError: what only pays on a GPU, or only runs there, asked for on a CPU.
    """
    if not 1 <= replicas <= MOST_REPLICAS:
        raise UserError(f"--replicas is a whole number from 1 to {MOST_REPLICAS}, got {replicas}")
    if device != "cuda" and replicas > 1:
        raise UserError(
            f"--replicas fills a GPU with seeds trained together; one seed a core fills a CPU, got {replicas} with"
            f" device {device}; leave it away, or take --device cuda"
        )
    if device != "cuda" and cuda_graphs:
        raise UserError(f"--cuda-graphs needs a CUDA GPU, got device {device}; leave it away, or take --device cuda")
    return Training(replicas=replicas, cuda_graphs=cuda_graphs)


def run_and_load(**request) -> pd.DataFrame:
    """`run_outcome`, as a DataFrame."""
    from .frame import frame_of

    outcome = run_outcome(**request)
    return frame_of(outcome.records, outcome.timings)


def check_before_run(cell: Cell) -> None:
    """Build a cell once: what the user got wrong is raised; what cannot run here or fails is its record's to say."""
    from .build import check_cell

    try:
        check_cell(cell)
    except UserError:
        raise
    except (Unsupported, Exception, SystemExit):
        return


def resolve_device(name: str) -> str:
    """`auto`, `cpu` or `cuda` to what is there.

    Raises:
        UserError: an unknown device, or one that is not there.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device is one of auto, cpu, cuda, got {name!r}")
    if name == "cpu" or (name == "auto" and not Path("/dev/nvidiactl").exists()):
        return "cpu"  # without a driver there is no need to import torch to know
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise UserError("device cuda is not there: torch sees no CUDA GPU; use --device cpu")
    return "cpu"
