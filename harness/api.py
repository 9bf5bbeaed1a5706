"""What `harness.run` and the command `run` share: from texts to an outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cells import Cell, cells_from
from .errors import Unsupported, UserError, nearest
from .execution import Execution, execution_from
from .executors import Training
from .progress import Progress
from .registry import load_plugin
from .sinks import Sink, opened
from .store import Store
from .study import TUNING_SEEDS, Outcome, Study, run_study

if TYPE_CHECKING:
    import pandas as pd

DTYPES = ("float32", "tf32", "bfloat16")  # `harness.precision` says what they are; it needs torch
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
    executor: Mapping[str, Any] | None = None,
) -> Outcome:
    """Resolve the texts, run what is missing, time the cells.

    Args:
        executor: the fields of `harness.execution.Execution`; what is None is not asked for.

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
    asked = {"replicas": replicas, "cuda_graphs": cuda_graphs or None, "workers": workers}
    execution = execution_from({**asked, **(executor or {})})
    device = resolve_device(device, execution)
    training = training_for(device, execution)
    place = execution.executor(device, training, plugins)
    with Store(store) as records, opened(sinks) as told:
        return run_study(
            Study(cells=cells, seeds=seeds, device=device, dtype=dtype, tune=tune, training=training),
            records,
            executor=place,
            fresh=fresh,
            timing=timing,
            progress=Progress(quiet=quiet),
            check=check_before_run,
            sinks=told,
        )


def training_for(device: str, execution: Execution) -> Training:
    """How the device is to be filled.

    Raises:
        UserError: what only pays on a GPU, or only runs there, asked for on a CPU.
    """
    replicas, cuda_graphs = execution.replicas, execution.cuda_graphs
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


def resolve_device(name: str, execution: Execution | None = None) -> str:
    """`auto`, `cpu` or `cuda` to what is there; on a cluster, to what a run is given of it.

    Raises:
        UserError: an unknown device, or one that is not there.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device is one of auto, cpu, cuda, got {name!r}")
    if execution is not None and execution.kind == "ray":
        device = "cuda" if execution.gpus > 0 else "cpu"
        if name not in ("auto", device):
            raise UserError(
                f"device {name} does not go with {execution.gpus:g} GPUs for a run on Ray; a run on cuda is given some"
                " of one (gpus, or --gpus), a run on cpu none"
            )
        return device
    if name == "cpu" or (name == "auto" and not Path("/dev/nvidiactl").exists()):
        return "cpu"  # without a driver there is no need to import torch to know
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise UserError("device cuda is not there: torch sees no CUDA GPU; use --device cpu")
    return "cpu"
