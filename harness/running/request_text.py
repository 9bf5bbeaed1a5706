"""A request as text: a study file in TOML, a command, a call in Python; and read from the first and the last.

    name = "noise"
    tasks = [{ name = "locality2d", noise = [0.2, 0.3] }]   # a grid: every combination of the lists
    architectures = ["gated-ssm", "mamba"]
    scans = ["horizontal", "hilbert", "random"]
    seeds = 10
    tune = { rates = [0.001, 0.003, 0.01], seeds = 1 }

The command line is read where its options are declared, in `harness.commands.run`.
"""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from operator import index
from pathlib import Path
from typing import Any

from harness.contracts.errors import UserError

from .execution import execution_from
from .request import Request, request_from

NEEDED = ("name", "tasks", "architectures")
"""Fields that a study file must have."""

FILE_SEEDS = 5
"""Of a study file that names none."""

PYTHON_NAMES = {
    "tasks": "task", "architectures": "architecture", "scans": "scan", "protocols": "protocol", "overwrite": "fresh",
    "loggers": "sinks",
}  # fmt: skip
OPTIONS = {"tasks": "--task", "architectures": "--arch", "scans": "--scan", "protocols": "--protocol"}
REPEATED = {"include": "--include", "exclude": "--exclude", "plugins": "--plugin", "loggers": "--logger"}


def read_study(path: str | Path) -> Request:
    """Read and check a study file; its plug-ins are loaded, its cells made.

    Raises:
        UserError: one line that names the file, the field, the value and the rule.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UserError(f"study {str(path)!r} cannot be read: {reason}") from error
    try:
        found = request_from_toml(text)
        _ = found.cells(), found.primary_pair
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"study {str(path)!r} is no TOML: {error}") from error
    except UserError as error:
        raise UserError(f"study {str(path)!r}: {error}") from error
    return found


def request_from_toml(text: str) -> Request:
    """A request of the text of a study file.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML.
        UserError: a field is missing or wrong.
    """
    table = tomllib.loads(text)
    if missing := [name for name in NEEDED if name not in table]:
        raise UserError(f"{missing[0]}: field required")
    return request_from({"seeds": FILE_SEEDS} | table)


def request_from_python(asked: Mapping[str, Any]) -> Request:
    """A request of the keyword arguments of `harness.run` that say what is run; None is not asked for.

    Raises:
        UserError: one of them is wrong.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    values = {name: given.pop(python) for name, python in PYTHON_NAMES.items() if python in given}
    for axis in OPTIONS.keys() & values.keys():
        values[axis] = (values[axis],) if isinstance(values[axis], str) else tuple(values[axis])
    executor = {name: given.pop(name) for name in ("workers", "replicas", "cuda_graphs") if name in given}
    values["executor"] = execution_from({**executor, **given.pop("executor", {})})
    if isinstance(seeds := given.pop("seeds", None), Iterable) and not isinstance(seeds, str):
        values["seeds"] = tuple(index(seed) if hasattr(seed, "__index__") else seed for seed in seeds)
    elif seeds is not None:
        values["seeds"] = seeds
    if "store" in given:
        values["store"] = str(given.pop("store"))
    return request_from(values | given)


def as_toml(request: Request) -> str:
    """A study file of the request."""
    values = {name: getattr(request, name) for name in (*NEEDED, "seeds")} | request.model_dump(exclude_defaults=True)
    return "".join(f"{name} = {toml_text(value)}\n" for name, value in values.items())


def as_python(request: Request) -> str:
    """The call of `harness.run` that makes the request."""
    values = request.model_dump(exclude_defaults=True).items()
    lines = (f"\n    {PYTHON_NAMES.get(name, name)}={_listed(value)!r}," for name, value in values)
    return f"harness.run({''.join(lines)}\n)"


def as_command(request: Request) -> str:
    """The command that makes the request, quoted for a shell."""
    words = ["python", "-m", "harness", "run"]
    values = request.model_dump(exclude_defaults=True)
    executor = values.pop("executor", {})
    if "kind" in executor:
        executor["executor"] = executor.pop("kind")
    for name, value in (values | executor).items():
        option = OPTIONS.get(name) or "--" + name.replace("_", "-")
        if name in REPEATED:
            words += [f"{REPEATED[name]}={each if isinstance(each, str) else toml_text(each)}" for each in value]
        elif name == "seeds":
            words += [option, str(value) if isinstance(value, int) else "".join(f"{seed}," for seed in value)]
        elif isinstance(value, bool):
            words.append(option if value else f"--no-{name}")
        elif isinstance(value, tuple):
            words += [option, *value]
        else:
            words.append(f"{option}={toml_text(value) if isinstance(value, dict) else value}")
    return shlex.join(words)


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, tuple) else value


def toml_text(value: Any) -> str:
    """A value of a request as TOML has it on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml_text(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_text, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
