"""Where runs go and what one of them may take, as study files, the command line and Python say it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.contracts.errors import UserError

from .resources import peak_resident_bytes, usable_processors

DEVICES = ("auto", "cpu", "cuda")
RAY_FIELDS = ("address", "cpus", "gpus")
ABOVE_0 = Field(gt=0, allow_inf_nan=False)


class Part(BaseModel):
    """What every table of a study file has in common: no other keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Execution(Part):
    """Where the runs go, how many train together, and what one may take.

    kind: worker processes of a `pool` here, `in-process`, or `ray`, a cluster. workers: processes, or runs at once on
    the cluster; none: one a processor on a CPU, one on a GPU, and what the cluster has room for. replicas: seeds of a
    cell that train together. cuda_graphs: their step is replayed as a CUDA graph. time_limit: seconds, from when a
    worker has loaded what runs need. memory_limit: GiB of resident memory at the peak, Python and torch included.
    address: `local` starts Ray here, `auto` finds the cluster of this machine, host:port another. cpus, gpus: what a
    run takes of its node; parts of one are fine.

    Runs that train together are one process: it may take as long as they might one after another, and as much memory
    as one.
    """

    kind: Literal["pool", "in-process", "ray"] = "pool"
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    replicas: Annotated[int, Field(ge=1, le=1024)] = 1
    cuda_graphs: bool = False
    time_limit: Annotated[float, ABOVE_0] | None = None
    memory_limit: Annotated[float, ABOVE_0] | None = None
    address: Annotated[str, Field(pattern=r"^(local|auto|[^\s/:]+:\d{1,5})$")] = "local"
    cpus: Annotated[float, ABOVE_0] = 1
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0

    @model_validator(mode="after")
    def _goes_together(self) -> Execution:
        alien = [name for name in RAY_FIELDS if name in self.model_fields_set]
        if alien and self.kind != "ray":
            raise ValueError(f"{' and '.join(alien)} can be had with kind 'ray' only")
        if self.kind == "in-process" and self.has_limits:
            raise ValueError("a limit needs worker processes, which can be stopped; kind 'in-process' has none")
        return self

    @property
    def has_limits(self) -> bool:
        return self.time_limit is not None or self.memory_limit is not None

    def over_time(self, seconds: float, *, runs: int = 1) -> bool:
        return self.time_limit is not None and seconds > self.time_limit * runs

    def over_memory(self, pid: int) -> bool:
        return self.memory_limit is not None and peak_resident_bytes(pid) > self.memory_limit * 2**30

    def workers_on(self, device: str) -> int:
        """How many runs go on at once where they are done on this machine."""
        if self.kind == "in-process":
            return 1
        return self.workers or (1 if device == "cuda" else usable_processors())

    def check_device(self, device: str) -> None:
        """Hold what fills a GPU to the device.

        Raises:
            UserError: what only pays on a GPU, or only runs there, asked for on a CPU.
        """
        cure = f"device {device}; leave it away, or take --device cuda"
        if device != "cuda" and self.replicas > 1:
            rule = "--replicas fills a GPU with seeds trained together; one seed a core fills a CPU"
            raise UserError(f"{rule}, got {self.replicas} with {cure}")
        if device != "cuda" and self.cuda_graphs:
            raise UserError(f"--cuda-graphs needs a CUDA GPU, got {cure}")


def execution_from(asked: Mapping[str, Any], base: Execution | None = None) -> Execution:
    """`base` with what is asked for in its place; a value of None is not asked for, and 0 workers are this process.

    Raises:
        UserError: one line that names the field, the value and the rule.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    values = {} if base is None else base.model_dump(exclude_unset=True)
    if given.get("workers") == 0 and "kind" not in given:
        given |= {"kind": "in-process", "workers": None}
    elif "workers" in given and values.get("kind") == "in-process":
        given.setdefault("kind", "pool")
    if given.get("kind", "ray") != "ray":
        values = {name: value for name, value in values.items() if name not in RAY_FIELDS}
    try:
        return Execution.model_validate(values | given)
    except ValidationError as error:
        raise UserError(in_one_line(error, within="executor")) from error


def resolve_device(name: str, execution: Execution | None = None) -> str:
    """`auto`, `cpu` or `cuda` to what is there; on a cluster, to what a run is given of it.

    Raises:
        UserError: an unknown device, or one that is not there.
    """
    if name not in DEVICES:
        raise UserError(f"device is one of {', '.join(DEVICES)}, got {name!r}")
    if execution is not None and execution.kind == "ray":
        device = "cuda" if execution.gpus > 0 else "cpu"
        if name not in ("auto", device):
            rule = "a run on cuda is given some of one (gpus, or --gpus), a run on cpu none"
            raise UserError(f"device {name} does not go with {execution.gpus:g} GPUs for a run on Ray; {rule}")
        return device
    if name == "cpu" or (name == "auto" and not Path("/dev/nvidiactl").exists()):
        return "cpu"  # without a driver there is no need to import torch to know
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise UserError("device cuda is not there: torch sees no CUDA GPU; use --device cpu")
    return "cpu"


def in_one_line(error: ValidationError, *, within: str = "") -> str:
    """The first mistake, and how many more there are."""
    first = max(error.errors(), key=lambda each: len(each["loc"]))
    # Which of several types a value was held against is no part of its place.
    skipped = ("str", "GridEntry", "Tune", "Decide", "bool", "int", "constrained-int")
    names = [within] * bool(within) + [str(part) for part in first["loc"] if part not in skipped]
    field = ".".join(name if name.isprintable() and name else repr(name) for name in names) or "the file"
    received = "" if first["type"] == "missing" else f", got {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    more = len({each["loc"][0] for each in error.errors() if each["loc"]} - set(first["loc"][:1]))
    also = f" (and {more} more field{'s' * (more > 1)})" if more else ""
    return f"{field}: {message[0].lower()}{message[1:]}{received}{also}"
