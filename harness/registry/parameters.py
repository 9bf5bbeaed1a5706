"""Parameters of entries: read off a factory's signature, and checked when a spec gives them as text."""

from __future__ import annotations

import inspect
import math
import re
import sys
import typing
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from harness.contracts.errors import UserError, nearest

from .specs import KEY

Value: TypeAlias = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """Bounds of a parameter, both inclusive; used as `Annotated[int, Range(1, 64)]`."""

    minimum: float | None = None
    maximum: float | None = None

    def __contains__(self, value: float) -> bool:
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def __str__(self) -> str:
        if self.maximum is None:
            return f">= {self.minimum:g}"
        return f"<= {self.maximum:g}" if self.minimum is None else f"{self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True)
class Added:
    """Marks a parameter that an entry got after records of it were kept; used as `Annotated[int, Added()]`.

    At its default, with which the entry is what it was, the canonical form leaves it out: keys of records stay.
    """


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of an entry: its type, default and what values it may take.

    added: left out of the canonical form at its default (`Added`).
    """

    name: str
    type: type
    default: Value
    choices: tuple[str, ...] = ()
    range: Range | None = None
    added: bool = False

    def parse(self, text: str, *, subject: str) -> Value:
        """Turn the text of a value into a checked value.

        Raises:
            UserError: wrong type, not among the choices, out of range.
        """
        rule = f"{subject}: {self.name}"
        if self.choices:
            if text not in self.choices:
                raise UserError(
                    f"{rule} is one of {', '.join(self.choices)}, got {text!r}; {nearest(text, self.choices)}"
                )
            return text
        if self.type is bool:
            if text not in ("true", "false"):
                raise UserError(f"{rule} is true or false, got {text!r}")
            return text == "true"
        if self.type is str:
            return text
        if self.type is int:
            if not re.fullmatch(r"[+-]?\d{1,18}", text):
                raise UserError(f"{rule} is a whole number{self._where}, got {text!r}")
            value = int(text)
        else:
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value) or "_" in text:
                raise UserError(f"{rule} is a finite number{self._where}, got {text!r}")
        if self.range is not None and value not in self.range:
            raise UserError(f"{rule} must be {self.range}, got {value}")
        return value

    @property
    def _where(self) -> str:
        return f" {self.range}" if self.range else ""

    def format(self, value: Value) -> str:
        """The one canonical text of a value; `parse(format(v)) == v`."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return repr(float(value)) if self.type is float else str(value)

    def describe(self) -> str:
        """`name=default (rule)`, for lists and cards."""
        rule = "|".join(self.choices) if self.choices else f"{self.type.__name__}{self._where}"
        given = f"... ({rule}, to be given)" if self.default == "" else f"{self.format(self.default)} ({rule})"
        return f"{self.name}={given}"


def _names(factory: Callable[..., Any]) -> Mapping[str, Any]:
    """What an annotation may name: all of the factory's module, and of those from which a class inherits arguments."""
    owners = inspect.getmro(factory) if isinstance(factory, type) else [inspect.unwrap(factory)]
    return ChainMap(*(vars(sys.modules[owner.__module__]) for owner in owners))


def parameter_from(argument: inspect.Parameter, factory: Callable[..., Any], *, subject: str) -> Parameter:
    """Read one keyword argument with a default.

    Raises:
        UserError: its annotation is none that a spec can give.
    """
    annotation = argument.annotation
    if isinstance(annotation, str):
        annotation = eval(annotation, {}, _names(factory))  # of `from __future__ import annotations`
    bounds: Range | None = None
    added = False
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *extras = typing.get_args(annotation)
        bounds = next((extra for extra in extras if isinstance(extra, Range)), None)
        added = any(isinstance(extra, Added) for extra in extras)
    choices: tuple[str, ...] = ()
    if typing.get_origin(annotation) is Literal:
        choices, annotation = typing.get_args(annotation), str
    if annotation not in (bool, int, float, str) or not KEY.match(argument.name):
        raise UserError(
            f"{subject}: parameter {argument.name!r} must be annotated bool, int, float, str, Literal of texts, or"
            f" Annotated with a Range, got {argument.annotation!r}"
        )
    default = annotation(argument.default)
    return Parameter(name=argument.name, type=annotation, default=default, choices=choices, range=bounds, added=added)
