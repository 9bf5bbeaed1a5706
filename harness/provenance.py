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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .cells import Cell, cell_from
from .errors import UserError
from .registry import architectures, protocols, scans, tasks
from .specs import parse_scan, parse_spec

CORE = (
    "build", "ceilings", "contracts", "cuda_graph", "data", "decays", "execute", "execute_together", "matching",
    "mixer", "model", "pooling", "precision", "replicas", "routed", "routing", "scores", "seeds", "train",
)  # fmt: skip
"""The harness's own modules whose code can change a run's numbers."""


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
    folder = Path(__file__).resolve().parent

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


def is_stale(record: dict[str, Any]) -> bool:
    """Whether a record was made by other source than today's; true too where its entries are not known here."""
    try:
        texts = (record["task"], record["architecture"], record["scan"], record["protocol"])
        return source_of(cell_from(*texts)) != record["source"]
    except (KeyError, UserError):
        return True


@functools.cache
def source_of(cell: Cell) -> str:
    """A hash of the source that decides this cell's numbers: the core, and the entries' modules with what they import
    from their own folder. A new task, architecture or scan makes no other record stale.
    """
    architecture = parse_spec(cell.architecture)
    names = {
        tasks: [parse_spec(cell.task).name],
        architectures: [architecture.name, *_parts(architecture.parameters.values())],
        scans: [route.name for route in parse_scan(cell.scan)],
        protocols: [parse_spec(cell.protocol).name],
    }
    files: set[Path] = set()
    if names[protocols] == ["paper"]:
        folder = Path(__file__).parent / "paper"
        files.update(folder.glob("*.py"), folder.glob("*.cpp"))
    modules = {registry.get(name).module for registry, entries in names.items() for name in entries}
    for module in modules | {f"harness.{name}" for name in CORE}:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            files.update(imported_files(Path(spec.origin)) if module in modules else [Path(spec.origin)])
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _parts(values: Iterable[str]) -> list[str]:
    """Architectures that another one is made of: names in a parameter such as pattern="mamba+local-attention"."""
    known = set(architectures.names())
    return [name for value in values for part in value.split("+") if (name := part.partition(":")[0]) in known]


@functools.cache
def imported_files(path: Path) -> frozenset[Path]:
    """A module's file, all that it imports by relative imports, at once or later, and the C++ sources they name."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.level:
                waiting += _imported_by(node, path)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".cpp"):
                waiting += [source for source in [path.with_name(node.value)] if source.is_file()]
    return frozenset(found)


def _imported_by(node: ast.ImportFrom, path: Path) -> list[Path]:
    """Files of `from .a.b import c`: a/b.py, or c.py where a/b is a folder."""
    base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    candidates = [base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)]
    return [candidate for candidate in candidates if candidate.is_file()]
