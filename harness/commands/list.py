"""`list`: the entries of every axis, with titles, parameters and defaults."""

from __future__ import annotations

import argparse
import json

from ._options import add_plugin_argument

AXES = ("tasks", "architectures", "scans", "protocols")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("axis", nargs="?", choices=AXES, help="one axis only")
    add_plugin_argument(parser)
    parser.add_argument("--format", choices=("table", "json"), default="table")


def main(options: argparse.Namespace) -> int:
    """Print the lists."""
    from harness import registry

    for plugin in options.plugins:
        registry.load_plugin(plugin)
    axes = [options.axis] if options.axis else AXES
    if options.format == "json":
        print(json.dumps({axis: [_facts(entry) for entry in getattr(registry, axis)] for axis in axes}, indent=1))
        return 0
    for axis in axes:
        print(axis if axis == axes[0] else f"\n{axis}")
        for entry in getattr(registry, axis):
            print(f"  {entry.name:<18} {entry.title}")
            parameters = ", ".join(parameter.describe() for parameter in entry.parameters.values())
            if parameters:
                print(f"  {'':<18}   {parameters}")
    if "scans" in axes:
        from harness.contracts.routes import MODIFIERS

        print(f"\n  modifiers, after a dot: {', '.join(MODIFIERS)}; routes join with +: horizontal+vertical.reversed")
    return 0


def _facts(entry) -> dict[str, object]:
    parameters = {
        parameter.name: {
            "type": parameter.type.__name__,
            "default": parameter.default,
            "choices": list(parameter.choices) or None,
            "range": str(parameter.range) if parameter.range else None,
        }
        for parameter in entry.parameters.values()
    }
    return {"name": entry.name, "title": entry.title, "version": entry.version, "parameters": parameters}
