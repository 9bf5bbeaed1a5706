"""`rerun`: why the store answers for a run or does not, and the run again, compared with what the store holds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.contracts.errors import UserError
from harness.contracts.outcome import BROKEN, FINISHED, Status

from ._options import add_plugin_argument

if TYPE_CHECKING:
    from harness.store.record import Record
    from harness.store.store import Store

COMPARED = (
    "status", "test_accuracy", "test_loss", "validation_accuracy", "steps_to_threshold", "mean_validation_accuracy",
)  # fmt: skip
ENVIRONMENT = (
    "source", "commit", "dirty", "machine", "harness_version", "torch_version", "mamba_ssm_version", "numpy_version",
    "python_version", "replicas", "cuda_graph",
)  # fmt: skip
"""What is known of a run before it starts, and no part of its key."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("key", metavar="KEY", help="a run's key, or its beginning")
    parser.add_argument("--store", default="results.sqlite", metavar="FILE", help="default: results.sqlite")
    parser.add_argument("--explain", action="store_true", help="say what the store has and what differs; run nothing")
    parser.add_argument("--replace", action="store_true", help="put the new record in place of the old one")
    add_plugin_argument(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def main(options: argparse.Namespace) -> int:
    """Say what has changed since, run it again and say what differs; exit code 1 where the run failed."""
    from harness.registry import load_plugin
    from harness.registry.cells import LrSelection, Run, cell_from
    from harness.running.execution import resolve_device
    from harness.running.executors import Pool
    from harness.running.progress import Progress
    from harness.store.record import begin_record
    from harness.store.store import Store

    for plugin in options.plugins:
        load_plugin(plugin)
    with Store(options.store, create=False, read_only=options.explain) as store:
        old = _stored(store, options)
        names = [old[axis] for axis in ("task", "architecture", "scan", "protocol")]
        setting = {name: old[name] for name in ("seed", "device", "dtype", "threads", "purpose")}
        run = Run(cell=cell_from(*names), lr_selection=LrSelection.from_record(old), **setting)
        resolve_device(old["device"])
        print(f"run {old['key']}: {' '.join(names)} seed {old['seed']}")
        for line in explanation(old, run.key, begin_record(run)):
            print(f"  {line}")
        if options.explain:
            return 0
        progress = Progress(quiet=options.quiet)
        with progress.runs([run]):
            (new,) = Pool(1, options.plugins).map([run], progress.step)
            progress.finished(new)
        _print_comparison(old, new)
        if options.replace:
            store.write(new)
    if new["status"] == Status.FAILED:
        print(new.get("traceback") or new["reason"], file=sys.stderr)
    return 1 if new["status"] in BROKEN else 0


def _stored(store: Store, options: argparse.Namespace) -> Record:
    keys = store.keys_like(options.key)
    if len(keys) != 1:
        found = f"{len(keys)} runs begin so" if keys else "no run begins so"
        raise UserError(
            f"rerun {options.key!r}: {found} in {options.store}; keys stand in the column key of:"
            f" python -m harness export {options.store} -o runs.csv"
        )
    record = store.find(keys[0])
    assert record is not None
    return record


def explanation(old: Record, key: str, now: Record) -> list[str]:
    """Whether the command that made a record answers from the store today, and what differs between then and now.

    Args:
        old: the stored record. key: that of the same run today. now: what is known of it before it starts.
    """
    changed = differing(old, now, ENVIRONMENT)
    if old["status"] not in FINISHED:
        first = f"{old['status']}: {old['reason']}; the same command runs it again"
    elif key != old["key"]:
        cause = f"versions of its entries or of the harness have risen since ({old['versions']}, now {now['versions']})"
        if now["lr_selection"] and old["versions"] == now["versions"]:
            cause = "versions of the harness have risen since, or it is of before keys held tuned rates as numbers"
        first = f"{old['status']}, but {cause}, so that its key is {key} today; the same command runs it anew"
    elif "source" in changed:
        follows = "the same command shows it as stale, --overwrite runs it"
        first = f"{old['status']} already, same key, by other source; {follows}"
    elif changed:
        first = f"{old['status']} already, same key; the same command answers from the store, though there differ:"
    else:
        first = f"{old['status']} already, same key, nothing differs; the same command answers from the store"
    return [first, *(f"{name:<20} stored {old.get(name)!s:<22} now {now.get(name)}" for name in changed)]


def differing(old: Record, new: Record, names: Sequence[str]) -> list[str]:
    """Those of the names under which two records hold different values."""
    return [name for name in names if old.get(name) != new.get(name)]


def _print_comparison(old: Record, new: Record) -> None:
    different = differing(old, new, COMPARED)
    for name in (*COMPARED, *differing(old, new, ("kernel",))):
        mark = "   <- differs" if old.get(name) != new.get(name) else ""
        print(f"  {name:<20} stored {old.get(name)!s:<22} now {new.get(name)!s:<22}{mark}")
    changed = differing(old, new, (*ENVIRONMENT, "kernel"))
    verdict = f"it differs; of the environment differ: {', '.join(changed) or 'nothing'}"
    print(verdict if different else "the same, bit for bit")
