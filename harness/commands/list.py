"""`list`: the entries of every axis, with titles, parameters and defaults."""

from __future__ import annotations

import argparse
import json

AXES = ("tasks", "architectures", "scans", "protocols")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("axis", nargs="?", choices=AXES, help="one axis only")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="a module or a .py file")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def main(options: argparse.Namespace) -> int:
    """Print the lists."""
    from harness import registry

    for plugin in options.plugin:
        registry.load_plugin(plugin)
    axes = [options.axis] if options.axis else AXES
    if options.format == "json":
        listing = {axis: [_facts(entry) for entry in getattr(registry, axis)] for axis in axes}
        print(json.dumps(listing, indent=1))
        return 0
    for number, axis in enumerate(axes):
        print(("" if number == 0 else "\n") + axis)
        for entry in getattr(registry, axis):
            print(f"  {entry.name:<18} {entry.title}")
            parameters = ", ".join(parameter.describe() for parameter in entry.parameters.values())
            if parameters:
                print(f"  {'':<18}   {parameters}")
    if "scans" in axes:
        from harness.routing import MODIFIERS

        print(f"\n  modifiers, after a dot: {', '.join(MODIFIERS)}; routes join with +: horizontal+vertical.reversed")
    return 0


def _facts(entry) -> dict[str, object]:
    return {
        "name": entry.name,
        "title": entry.title,
        "version": entry.version,
        "parameters": {
            parameter.name: {
                "type": parameter.type.__name__,
                "default": parameter.default,
                "choices": list(parameter.choices) or None,
                "range": str(parameter.range) if parameter.range else None,
            }
            for parameter in entry.parameters.values()
        },
    }
