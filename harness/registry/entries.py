"""One generic registry, an instance an axis: tasks, architectures, scans, protocols, reports.

An entry is one light factory: a function, or the class itself. Its keyword arguments with defaults are the entry's
parameters, its docstring is its card, whose first line is the title, and its `version` is part of every record. Keyword
arguments without a default are supplied by the harness (an architecture asks for `width` and `generator`, say) and are
no parameters.

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
import pkgutil
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.contracts.errors import Unsupported, UserError, nearest

from .parameters import Parameter, Value, parameter_from
from .specs import NAME, Spec, format_spec, parse_spec

Factory = TypeVar("Factory", bound=Callable[..., Any])


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
        return self.description.partition("\n")[0]

    @property
    def description(self) -> str:
        """The factory's own docstring; `inspect.getdoc` would give a class without one its base's."""
        return inspect.cleandoc(self.factory.__doc__ or "")

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
        """The spec with all defaults filled in: what is hashed. Left out are an empty text, which says "not given", and
        the default of a parameter that was added later (`Added`).
        """
        kept = {name: value for name, value in values.items() if not self._was_without(name, value)}
        texts = {name: self.parameters[name].format(value) for name, value in kept.items()}
        return Spec(name=self.name, parameters={name: text for name, text in texts.items() if text})

    def _was_without(self, name: str, value: Value) -> bool:
        return self.parameters[name].added and value == self.parameters[name].default

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
        group: of the entry points under which other distributions declare theirs; the package's name by default.
    """

    def __init__(self, axis: str, package: str, supplied: tuple[str, ...] = (), *, group: str = ""):
        self.axis, self.package, self.supplied = axis, package, supplied
        self.group = group or package
        self._entries: dict[str, Entry] = {}
        self._loaded = False
        self.generation = 0  # rises with every registration: what is kept of entries is kept for one generation

    def register(self, name: str, *, version: int) -> Callable[[Factory], Factory]:
        """Decorate a factory, a function or a class: it becomes the entry `name`."""

        def decorate(factory: Factory) -> Factory:
            entry = self._entry(name, version, factory)
            known = self._entries.get(name)
            if known is not None and known.module != entry.module:
                raise UserError(f"{self.axis} {name!r} of {entry.module} is already registered by {known.module}")
            self._entries[name] = entry
            self.generation += 1
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
                parameters[argument.name] = parameter_from(argument, factory, subject=f"{self.axis} {name}")
        made = {"parameters": parameters, "supplied": tuple(supplied), "module": factory.__module__}
        entry = Entry(axis=self.axis, name=name, version=version, factory=factory, **made)
        if not entry.description:
            raise UserError(f"{self.axis} {name}: its docstring's first line is its title, and it has none")
        return entry

    def load(self) -> None:
        """Import the package's own modules, then those that other distributions declare as entry points."""
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.ispkg and not module.name.startswith("_"):
                importlib.import_module(f"{self.package}.{module.name}")
        for point in importlib.metadata.entry_points(group=self.group):
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


tasks = Registry("task", "harness.tasks")
architectures = Registry("architecture", "harness.architectures", supplied=("width", "length", "grid", "generator"))
scans = Registry("scan", "harness.scans")
protocols = Registry("protocol", "harness.training.protocols", group="harness.protocols")


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
