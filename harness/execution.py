"""Where runs go and what one of them may take, as study files, the command line and Python say it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import UserError
from .executors import Executor, InProcess, Pool, Training
from .limits import Limits

RAY_FIELDS = ("address", "cpus", "gpus")
ABOVE_0 = Field(gt=0, allow_inf_nan=False)


class Part(BaseModel):
    """What every table of a study file has in common: no other keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Execution(Part):
    """Where the runs go, and what one of them may take.

    kind: worker processes of a `pool` here, `in-process`, or `ray`, a cluster. workers: processes, or runs at once on
    the cluster; none: one a processor on a CPU, one on a GPU, and what the cluster has room for. time_limit: seconds.
    memory_limit: GiB. address: `local` starts Ray here, `auto` finds the cluster of this machine, host:port another.
    cpus, gpus: what a run takes of its node; parts of one are fine.
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
        if self.kind == "in-process" and self.limits != Limits():
            raise ValueError("a limit needs worker processes, which can be stopped; kind 'in-process' has none")
        return self

    @property
    def limits(self) -> Limits:
        return Limits(time_limit=self.time_limit, memory_limit=self.memory_limit)

    def local_workers(self, device: str) -> int:
        """How many runs go on at once where they are done on this machine."""
        if self.kind == "in-process":
            return 1
        return self.workers or (1 if device == "cuda" else max(1, len(os.sched_getaffinity(0))))

    def executor(self, device: str, training: Training, plugins: Sequence[str]) -> Executor:
        """The executor, made anew.

        Raises:
            UserError: it cannot be had here.
        """
        if self.kind == "in-process":
            return InProcess(training)
        if self.kind == "pool":
            return Pool(self.local_workers(device), plugins, training, self.limits)
        from .ray_executor import RayExecutor

        there = [str(Path(plugin).resolve()) if plugin.endswith(".py") else plugin for plugin in plugins]
        return RayExecutor(
            Pool(1, there, training, self.limits),
            address=self.address,
            cpus=self.cpus,
            gpus=self.gpus,
            at_once=self.workers,
        )


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


def in_one_line(error: ValidationError, *, within: str = "") -> str:
    """The first mistake, and how many more there are."""
    first = next(iter(sorted(error.errors(), key=lambda each: len(each["loc"]), reverse=True)))
    skipped = ("str", "GridEntry", "Tune", "bool", "int", "list[int]", "constrained-int")
    names = [within] * bool(within) + [str(part) for part in first["loc"] if part not in skipped]
    field = ".".join(name if name.isprintable() and name else repr(name) for name in names) or "the file"
    received = "" if first["type"] == "missing" else f", got {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    more = len({each["loc"][0] for each in error.errors() if each["loc"]} - set(first["loc"][:1]))
    also = f" (and {more} more field{'s' * (more > 1)})" if more else ""
    return f"{field}: {message[0].lower()}{message[1:]}{received}{also}"
