"""`check`: hold what a plug-in registers to the contracts, and say what to mend."""

from __future__ import annotations

import argparse
import sys

from harness.contracts.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("plugin", metavar="PLUGIN", help="a module, a .py file, or the name of a registered entry")


def main(options: argparse.Namespace) -> int:
    """Check what the plug-in registers; 1 where a contract is broken."""
    from harness import registry
    from harness.registry.plugin_checks import check_entry

    axes = (registry.tasks, registry.architectures, registry.scans, registry.protocols)
    before = {axis: set(axis.names()) for axis in axes}
    found = [axis.get(options.plugin) for axis in axes if options.plugin in before[axis]]
    if not found:
        registry.load_plugin(options.plugin)
        found = [axis.get(name) for axis in axes for name in axis.names() if name not in before[axis]]
    if not found:
        raise UserError(
            f"check: {options.plugin!r} registers no task, architecture, scan or protocol; decorate a factory"
            " with @tasks.register, @architectures.register, @scans.register or @protocols.register of harness.registry"
        )
    broken = 0
    for entry in found:
        print(f"{entry.axis} {entry.name}, version {entry.version}: {entry.title}")
        for finding in check_entry(entry):
            word = "skipped" if finding.skipped else "BROKEN" if finding.problem else "holds"
            broken += finding.problem is not None
            print(f"  {word:<8} {finding.rule}")
            if finding.problem or finding.skipped:
                print(f"           {finding.problem or finding.skipped}")
    if broken:
        print(f"{broken} rule{'s are' if broken > 1 else ' is'} broken", file=sys.stderr)
    return 1 if broken else 0
