"""`rerun`: one stored run again, compared with what the store holds."""

from __future__ import annotations

import argparse
import sys

from harness.errors import UserError

COMPARED = ("status", "test_accuracy", "test_loss", "validation_accuracy", "steps_to_threshold", "curve_area")
ENVIRONMENT = (
    "source", "commit", "dirty", "machine", "torch_version", "mamba_ssm_version", "numpy_version", "python_version",
    "kernel",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("key", metavar="KEY", help="a run's key, or its beginning")
    parser.add_argument("--store", default="results.sqlite", metavar="FILE", help="default: results.sqlite")
    parser.add_argument("--replace", action="store_true", help="put the new record in place of the old one")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="a module or a .py file")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def main(options: argparse.Namespace) -> int:
    """Run it again and say what differs; exit code 1 where the run failed."""
    from harness.cells import Run, cell_from
    from harness.executors import Pool
    from harness.progress import Progress
    from harness.registry import load_plugin
    from harness.store import Store

    for plugin in options.plugin:
        load_plugin(plugin)
    with Store(options.store, create=False) as store:
        keys = store.keys_like(options.key)
        if len(keys) != 1:
            found = f"{len(keys)} runs begin so" if keys else "no run begins so"
            raise UserError(
                f"rerun {options.key!r}: {found} in {options.store}; keys stand in the column key of:"
                f" python -m harness export {options.store} -o runs.csv"
            )
        old = store.find(keys[0])
        assert old is not None
        cell = cell_from(old["task"], old["architecture"], old["scan"], old["protocol"])
        setting = {name: old[name] for name in ("seed", "device", "dtype", "threads", "purpose", "selection")}
        run = Run(cell=cell, **setting)
        if run.key != old["key"]:
            print(f"versions rose since: stored {old['versions']}, now {list(cell.versions)}", file=sys.stderr)
        progress = Progress(quiet=options.quiet)
        with progress.runs([run]):
            (new,) = list(Pool(1, options.plugin).map([run], progress.step))
            progress.finished(new)
        _print_comparison(old, new)
        if options.replace:
            store.write(new)
    if new["status"] == "failed":
        print(new.get("traceback") or new["reason"], file=sys.stderr)
    return 1 if new["status"] in ("failed", "out-of-memory") else 0


def _print_comparison(old: dict, new: dict) -> None:
    print(f"run {old['key']}: {old['task']} {old['architecture']} {old['scan']} {old['protocol']} seed {old['seed']}")
    same = all(old.get(name) == new.get(name) for name in COMPARED)
    for name in COMPARED:
        mark = "" if old.get(name) == new.get(name) else "   <- differs"
        print(f"  {name:<20} stored {old.get(name)!s:<22} now {new.get(name)!s:<22}{mark}")
    changed = [name for name in ENVIRONMENT if old.get(name) != new.get(name)]
    for name in changed:
        print(f"  {name:<20} stored {old.get(name)!s:<22} now {new.get(name)!s:<22}   (environment)")
    print(
        "the same, bit for bit" if same else f"it differs; of the environment differ: {', '.join(changed) or 'nothing'}"
    )
