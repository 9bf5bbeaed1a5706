"""Where a record came from: commit, package versions, machine, and a hash of the source it ran."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.contracts.errors import UserError
from harness.registry import architectures, protocols, scans, tasks
from harness.registry.cells import Cell, cell_from
from harness.registry.specs import parse_scan, parse_spec

NUMERIC_ROOMS = ("contracts", "model", "training")
"""Rooms of the harness whose code can change a run's numbers."""


@functools.cache
def provenance(device: str = "cpu") -> dict[str, Any]:
    """Commit, dirty flag, versions, processor and determinism setting, as columns of a record."""
    commit, dirty = _commit()
    torch = sys.modules.get("torch")  # a run has imported it; the driver need not, to know a version
    return {
        "commit": commit,
        "dirty": dirty,
        "harness_version": _version("scan-order-harness"),
        "torch_version": _version("torch"),
        "mamba_ssm_version": _version("mamba-ssm"),
        "numpy_version": _version("numpy"),
        "python_version": platform.python_version(),
        "machine": _gpu() if device == "cuda" else processor(),
        "deterministic": torch is not None and torch.are_deterministic_algorithms_enabled(),
    }


def _gpu() -> str:
    import torch

    # The driver of a cluster, which writes records of runs that were lost, may have no GPU itself.
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "a GPU of another machine"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> tuple[str | None, bool | None]:
    folder = Path(__file__).resolve().parents[1]

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=20
        ).stdout

    try:
        # The commit of the harness's own checkout, not of a repository that happens to hold site-packages.
        if Path(git("rev-parse", "--show-toplevel").strip()) != folder.parent:
            return None, None
        return git("rev-parse", "HEAD").strip()[:12], bool(git("status", "--porcelain", "--untracked-files=no").strip())
    except (OSError, subprocess.SubprocessError):
        return None, None


def is_stale(record: Mapping[str, Any]) -> bool:
    """Whether a record was made by other source than today's; true too where its entries are not known here.

    One without a source comes from a file of records and is shown as it was recorded: never stale.
    """
    if record.get("source", "") is None:
        return False
    try:
        texts = (record["task"], record["architecture"], record["scan"], record["protocol"])
        return source_of(cell_from(*texts), record["device"]) != record["source"]
    except (KeyError, UserError):
        return True


@functools.cache
def source_of(cell: Cell, device: str = "cpu") -> str:
    """A hash of the source that decides this cell's numbers, by a rule.

    It holds the modules of the cell's entries and `harness.training.execute`, whatever those import of the harness's
    numeric rooms and of their own folders, at once or later, and the C++ sources they name. A module that says
    `DEVICE = "cuda"` takes part on that device only. So a new task, architecture or scan, a report, a table or a kernel
    for GPUs makes no CPU record stale; other flags for the compiler do.
    """
    architecture = parse_spec(cell.architecture)
    names = {
        tasks: [parse_spec(cell.task).name],
        architectures: [architecture.name, *_parts(architecture.parameters.values())],
        scans: [route.name for route in parse_scan(cell.scan)],
        protocols: [parse_spec(cell.protocol).name],
    }
    modules = {registry.get(name).module for registry, entries in names.items() for name in entries}
    modules |= {"harness.training.execute"} | ({"harness.training.execute_together"} if device == "cuda" else set())
    files = {file for module in modules for file in _files_of(module, device)}
    digest = hashlib.sha256()
    # By name and content: the folders lie elsewhere in an installed wheel.
    for name, content in sorted((path.name, path.read_bytes()) for path in files):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()[:16]


def _files_of(module: str, device: str) -> frozenset[Path]:
    """Of a module that may be a plug-in's file or a script; what was typed into a notebook has none."""
    if module in sys.modules:
        origin = getattr(sys.modules[module], "__file__", None)
    else:
        spec = importlib.util.find_spec(module)
        origin = spec and spec.origin
    return imported_files(Path(origin).resolve(), device) if origin else frozenset()


def _parts(values: Iterable[str]) -> list[str]:
    """Architectures that another one is made of: names in a parameter such as pattern="mamba+local-attention"."""
    known = set(architectures.names())
    return [name for value in values for part in value.split("+") if (name := part.partition(":")[0]) in known]


@functools.cache
def imported_files(path: Path, device: str = "cpu") -> frozenset[Path]:
    """A module's file, what it imports that may change numbers on the device, and the C++ sources they name.

    Imports are followed at the top of a module and within functions: relative ones wherever they lead, absolute ones
    into the module's own package, the `NUMERIC_ROOMS` of the harness and the folders of entries.
    """
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        imported, sources, only_on = _read(path)
        if only_on in (None, device):
            found |= {path, *sources}
            waiting += [each for each in imported if _counts(each)]
    return frozenset(found)


@functools.cache
def _read(path: Path) -> tuple[tuple[Path, ...], tuple[Path, ...], str | None]:
    """What a module imports of the harness or relatively, the C++ sources it names, and the only device it is for."""
    if path.suffix != ".py":
        return (), (), None  # a compiled extension
    imported: list[Path] = []
    sources: list[Path] = []
    device: str | None = None
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            imported += _imported(node.module or "", [alias.name for alias in node.names], node.level, path)
        elif isinstance(node, ast.Import):
            imported += [file for alias in node.names for file in _imported(alias.name, [], 0, path)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith((".cpp", ".h")):
            sources += [source for source in [path.with_name(node.value)] if source.is_file()]
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [target.id for target in targets if isinstance(target, ast.Name)] == ["DEVICE"]:
                device = str(node.value.value)
    return tuple(imported), tuple(sources), device


def _imported(module: str, names: Sequence[str], level: int, path: Path) -> list[Path]:
    """Files of `from .a.b import c` or `import a.b`: a/b.py, or c.py where a/b is a folder, and the folder's own."""
    words = [word for word in module.split(".") if word]
    if level:
        base = path.parents[level - 1].joinpath(*words)
    elif words[0] == "harness":
        if len(words) == 1:
            return [file for name in names for file in _imported(f"harness.{name}", [], 0, path)]
        package = importlib.util.find_spec(".".join(words[:2]))
        if package is None or package.origin is None:
            return []
        origin = Path(package.origin)
        base = (origin.parent if origin.name == "__init__.py" else origin.with_suffix("")).joinpath(*words[2:])
    else:
        root = next(folder for folder in path.parents if not (folder / "__init__.py").exists())
        beside = root == path.parent and root.name != "site-packages"  # a lone file, and others in its folder
        if not beside and words[0] != path.relative_to(root).parts[0]:
            return []  # another package
        base = root.joinpath(*words)
    inside = [file for name in names for file in (base / f"{name}.py", base / name / "__init__.py")]
    return [file for file in (base.with_suffix(".py"), base / "__init__.py", *inside) if file.is_file()]


def _counts(path: Path) -> bool:
    """Whether a file can change numbers: it lies in a numeric room, or outside of the harness's rooms."""
    rooms = Path(__file__).parents[1]
    inside = path.relative_to(rooms).parts[0] if path.is_relative_to(rooms) else None
    return inside in (None, *NUMERIC_ROOMS, "tasks", "architectures", "scans")  # folders of entries, where installed
