"""One generic registry, an instance an axis: tasks, architectures, scans, protocols, reports.

An entry is one light factory function. Its keyword arguments with defaults are the entry's parameters, its docstring's
first line is its title, and its `version` is part of every record. Keyword arguments without a default are supplied
by the harness (an architecture asks for `width` and `generator`, say) and are no parameters.

    from harness.registry import scans

    @scans.register("snake", version=1)
    def snake() -> Scan:
        '''Rows, every odd one reversed.'''

Heavy packages (torch) are imported inside the factory, so that `--help` and `list` stay instant.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import math
import pkgutil
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .errors import Unsupported, UserError, nearest
from .specs import KEY, NAME, Spec, format_spec, parse_spec

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


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of an entry: its type, default and what values it may take."""

    name: str
    type: type
    default: Value
    choices: tuple[str, ...] = ()
    range: Range | None = None

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
            return self._check(int(text), rule)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in text:
            raise UserError(f"{rule} is a finite number{self._where}, got {text!r}")
        return self._check(value, rule)

    @property
    def _where(self) -> str:
        return f" {self.range}" if self.range else ""

    def _check(self, value: Value, rule: str) -> Value:
        if self.range is not None and value not in self.range:  # type: ignore[operator]
            raise UserError(f"{rule} must be {self.range}, got {value}")
        return value

    def format(self, value: Value) -> str:
        """The one canonical text of a value; `parse(format(v)) == v`."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if self.type is float:
            return repr(float(value))
        return str(value)

    def describe(self) -> str:
        """`name=default (rule)`, for lists and cards."""
        rule = "|".join(self.choices) if self.choices else f"{self.type.__name__}{self._where}"
        return f"{self.name}={self.format(self.default)} ({rule})"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A registered factory and what its signature says of it."""

    axis: str
    name: str
    version: int
    factory: Callable[..., Any]
    parameters: dict[str, Parameter]
    supplied: tuple[str, ...]
    module: str

    @property
    def title(self) -> str:
        return (inspect.getdoc(self.factory) or "").partition("\n")[0]

    @property
    def description(self) -> str:
        return inspect.getdoc(self.factory) or ""

    def resolve(self, given: dict[str, str]) -> dict[str, Value]:
        """All parameters, checked, in declared order, defaults filled in.

        Raises:
            UserError: an unknown parameter, a wrong type, a value out of range.
        """
        subject = f"{self.axis} {self.name}"
        for key in given:
            if key not in self.parameters:
                has = nearest(key, self.parameters) if self.parameters else "it has no parameters"
                raise UserError(f"{subject} has no parameter {key!r}; {has}")
        return {
            name: parameter.parse(given[name], subject=subject) if name in given else parameter.default
            for name, parameter in self.parameters.items()
        }

    def canonical(self, values: dict[str, Value]) -> Spec:
        """The spec with every default filled in: what is hashed."""
        return Spec(
            name=self.name, parameters={name: self.parameters[name].format(value) for name, value in values.items()}
        )

    def create(self, values: dict[str, Value], **supplied: Any) -> Any:
        """Call the factory with its parameters and those supplied arguments that it asks for."""
        missing = [name for name in self.supplied if name not in supplied]
        assert not missing, f"{self.axis} {self.name} asks for {missing}, which the harness does not supply here"
        return self.factory(**values, **{name: supplied[name] for name in self.supplied})

    def create_light(self, values: dict[str, Value]) -> Any:
        """`create` for the axes whose factories the driver calls itself.

        Raises:
            UserError: the factory refused its parameters, or raised something else; one line.
            Unsupported: as the factory says.
        """
        try:
            return self.create(values)
        except (UserError, Unsupported):
            raise
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{self.axis} {self.name} of {self.module}: its factory raised {type(error).__name__}: {error}"
            ) from error


class Registry:
    """The entries of one axis, found in a package, in entry points and in plug-in modules.

    Args:
        axis: what one entry is called ("task").
        package: the package whose modules hold the entries ("harness.tasks"), one decorated thing a file.
        supplied: argument names that the harness can supply to a factory.
    """

    def __init__(self, axis: str, package: str, supplied: tuple[str, ...] = ()):
        self.axis = axis
        self.package = package
        self.supplied = supplied
        self._entries: dict[str, Entry] = {}
        self._loaded = False

    def register(self, name: str, *, version: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate a factory: it becomes the entry `name`."""

        def decorate(factory: Callable[..., Any]) -> Callable[..., Any]:
            entry = self._entry(name, version, factory)
            known = self._entries.get(name)
            same = known is not None and known.module == entry.module
            if known is not None and not same:
                raise UserError(f"{self.axis} {name!r} of {entry.module} is already registered by {known.module}")
            self._entries[name] = entry
            return factory

        return decorate

    def _entry(self, name: str, version: int, factory: Callable[..., Any]) -> Entry:
        if not NAME.match(name):
            raise UserError(f"{self.axis} {name!r}: a name is lower-case letters, digits and '-'")
        parameters: dict[str, Parameter] = {}
        supplied: list[str] = []
        for argument in inspect.signature(factory).parameters.values():
            if argument.default is inspect.Parameter.empty:
                if argument.name not in self.supplied:
                    raise UserError(
                        f"{self.axis} {name}: argument {argument.name!r} has no default, and the harness supplies"
                        f" {', '.join(self.supplied) or 'nothing'} on this axis; give it a default"
                    )
                supplied.append(argument.name)
            else:
                parameters[argument.name] = _parameter(argument, factory, subject=f"{self.axis} {name}")
        if not (inspect.getdoc(factory) or "").strip():
            raise UserError(f"{self.axis} {name}: its docstring's first line is its title, and it has none")
        return Entry(
            axis=self.axis,
            name=name,
            version=version,
            factory=factory,
            parameters=parameters,
            supplied=tuple(supplied),
            module=factory.__module__,
        )

    def load(self) -> None:
        """Import the package's own modules, then those that other distributions declare as entry points."""
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.ispkg and not module.name.startswith("_"):
                importlib.import_module(f"{self.package}.{module.name}")
        for point in importlib.metadata.entry_points(group=self.package):
            try:
                point.load()
            except Exception as error:  # someone else's package must not take the harness down
                print(f"warning: {self.axis} plug-in {point.value} did not load: {error!r}", file=sys.stderr)

    def __iter__(self) -> Iterator[Entry]:
        self.load()
        return iter(sorted(self._entries.values(), key=lambda entry: entry.name))

    def names(self) -> list[str]:
        return [entry.name for entry in self]

    def get(self, name: str) -> Entry:
        """The entry called `name`.

        Raises:
            UserError: no such entry; the message names the nearest ones.
        """
        self.load()
        if name not in self._entries:
            raise UserError(f"{self.axis} {name!r} is not known; {nearest(name, self._entries)}")
        return self._entries[name]

    def parse(self, text: str) -> tuple[Entry, dict[str, Value]]:
        """Parse a spec string of this axis into its entry and checked parameters."""
        return self.resolve(parse_spec(text, axis=self.axis))

    def resolve(self, spec: Spec) -> tuple[Entry, dict[str, Value]]:
        entry = self.get(spec.name)
        return entry, entry.resolve(spec.parameters)

    def canonical(self, text: str) -> str:
        """The canonical form of a spec string, every default filled in.

        >>> tasks.canonical("majority:length=16")  # doctest: +SKIP
        'majority:length=16,relevant=...'
        """
        entry, values = self.parse(text)
        return format_spec(entry.canonical(values))


def _parameter(argument: inspect.Parameter, factory: Callable[..., Any], *, subject: str) -> Parameter:
    annotation = argument.annotation
    if isinstance(annotation, str):
        annotation = eval(
            annotation, inspect.unwrap(factory).__globals__
        )  # a module with `from __future__ import annotations`
    bounds: Range | None = None
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *extras = typing.get_args(annotation)
        bounds = next((extra for extra in extras if isinstance(extra, Range)), None)
    choices: tuple[str, ...] = ()
    if typing.get_origin(annotation) is Literal:
        choices = typing.get_args(annotation)
        annotation = str
    if annotation not in (bool, int, float, str) or not KEY.match(argument.name):
        raise UserError(
            f"{subject}: parameter {argument.name!r} must be annotated bool, int, float, str, Literal of texts, or"
            f" Annotated with a Range, got {argument.annotation!r}"
        )
    return Parameter(
        name=argument.name,
        type=annotation,
        default=annotation(argument.default),
        choices=choices,
        range=bounds,
    )


tasks = Registry("task", "harness.tasks")
architectures = Registry("architecture", "harness.architectures", supplied=("width", "length", "grid", "generator"))
scans = Registry("scan", "harness.scans")
protocols = Registry("protocol", "harness.protocols")


def load_plugin(name: str) -> types.ModuleType:
    """Import a module of the user's, whose decorated factories register themselves.

    Args:
        name: a module name (`my_package.my_scan`) or a path to a Python file (`my_scan.py`).

    Raises:
        UserError: it cannot be found or does not import.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints must not mix with a table or JSON
            if not name.endswith(".py"):
                return importlib.import_module(name)
            spec = importlib.util.spec_from_file_location(f"harness_plugin_{Path(name).stem}", name)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            return module
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"plug-in {name!r} does not import: {type(error).__name__}: {error}") from error
