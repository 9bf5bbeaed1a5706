"""Which source a record is bound to: what could have changed its numbers, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.registry import load_plugin
from harness.registry.cells import cell_from
from harness.store import provenance
from harness.store.provenance import imported_files, is_stale, source_of

ROOT = Path(harness.__file__).parent.parent


def names(path):
    return {f"{file.parent.name}/{file.name}" for file in imported_files(path)}


def test_what_a_factory_imports_when_it_is_called_counts_and_its_kernels_in_cpp_too():
    found = names(ROOT / "architectures" / "mamba.py")
    assert {"architectures/mamba.py", "layers/mamba.py", "ops/selective_scan.cpp"} <= found
    assert not any("lstm" in name or "recurrent" in name for name in found)


def test_shared_code_of_a_folder_counts_where_it_is_imported():
    assert "tasks/_images.py" in names(ROOT / "tasks" / "locality2d.py")
    assert "tasks/_images.py" not in names(ROOT / "tasks" / "majority.py")
    found = {name for name in names(ROOT / "scans" / "zigma8.py") if not name.startswith("contracts/")}
    assert found == {"scans/zigma8.py", "scans/snake.py"}


def test_an_import_is_followed_however_it_is_written(tmp_path):
    (tmp_path / "parts").mkdir()
    for name, text in {
        "entry.py": "def f():\n    from .parts.one import thing\n    from . import lone\n    from .parts import two\n",
        "lone.py": "from .entry import make\n",  # a circle
        "other.py": "",
        "parts/one.py": "from ..other import nothing\nSOURCE = 'one.cpp'\nGONE = 'gone.cpp'\n",
        "parts/one.cpp": "int main() {}",
        "parts/two.py": "import os\n",
        "parts/three.py": "",
    }.items():
        (tmp_path / name).write_text(text)
    found = {str(file.relative_to(tmp_path)) for file in imported_files(tmp_path / "entry.py")}
    assert found == {"entry.py", "lone.py", "other.py", "parts/one.py", "parts/one.cpp", "parts/two.py"}


def test_the_source_differs_between_entries_and_not_between_their_parameters():
    def source(task="majority", architecture="gated-ssm", scan="horizontal", protocol="standard"):
        return source_of(cell_from(task, architecture, scan, protocol))

    base = source()
    others = [source(task="locality"), source(architecture="gru"), source(scan="snake"), source(protocol="paper")]
    assert len({base, *others}) == 5
    assert source(task="majority:dim=64", protocol="standard:steps=7") == base


CELL = ("locality2d", "mamba", "hilbert", "standard")


def source_after(monkeypatch, file, device="cpu", cell=CELL):
    """The source of a cell once a file has been edited (on no disk)."""
    path, read = ROOT / file, Path.read_bytes
    edit = b"\n# edited\n" if path.suffix == ".py" else b"\n// edited\n"
    assert path.is_file()
    with monkeypatch.context() as context:
        context.setattr(Path, "read_bytes", lambda self: read(self) + (edit if self == path else b""))
        imported_files.cache_clear()
        provenance._read.cache_clear()
        found = source_of.__wrapped__(cell_from(*cell), device)
    imported_files.cache_clear()
    provenance._read.cache_clear()
    return found


@pytest.mark.parametrize(
    "file",
    [
        "harness/contracts/compiled.py",  # the compiler's flags
        "harness/contracts/simd.h",
        "harness/contracts/scan.py",
        "harness/model/backbone.py",
        "harness/training/standard/loop.py",
        "harness/training/data.py",
        "architectures/ops/selective_scan.cpp",
        "architectures/ops/selective_scan_cpp.py",
        "tasks/locality2d.py",
        "tasks/_images.py",
        "scans/hilbert.py",
    ],
)
def test_editing_what_decides_the_numbers_changes_a_records_source(monkeypatch, file):
    assert source_after(monkeypatch, file) != source_of(cell_from(*CELL))


@pytest.mark.parametrize(
    "file",
    [
        "harness/training/standard/replicas.py",  # on GPUs only
        "harness/training/standard/cuda_graph.py",
        "harness/training/execute_together.py",
        "harness/training/paper/train.py",  # another protocol's
        "harness/analysis/tables.py",
        "harness/store/store.py",
        "harness/store/provenance.py",
        "harness/commands/run.py",
        "harness/running/runner.py",
        "harness/registry/entries.py",
        "reports/comparison.py",
        "tasks/majority.py",
        "architectures/ops/flash.py",
        "scans/snake.py",
    ],
)
def test_editing_anything_else_leaves_a_cpu_records_source_as_it_was(monkeypatch, file):
    assert source_after(monkeypatch, file) == source_of(cell_from(*CELL))


@pytest.mark.parametrize(
    "file", [f"harness/training/{name}.py" for name in ("standard/replicas", "standard/cuda_graph", "execute_together")]
)
def test_editing_what_runs_on_gpus_only_changes_the_source_there(monkeypatch, file):
    assert source_after(monkeypatch, file, "cuda") != source_of(cell_from(*CELL), "cuda")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import harness.model.backbone", "model/backbone.py"),
        ("import harness.model.backbone as b, os", "model/backbone.py"),
        ("from harness.model import backbone", "model/backbone.py"),
        ("from harness import model", "model/__init__.py"),
        ("from harness.scans import snake", "scans/snake.py"),
        ("import helper", "plugin/helper.py"),
        ("from helper import thing", "plugin/helper.py"),
        ("from harness.analysis import tables", None),
        ("import harness.commands.run", None),
        ("import torch, numpy as np", None),
    ],
)
def test_every_form_of_an_import_is_followed_into_what_counts(tmp_path, line, expected):
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "helper.py").write_text("")
    (folder / "entry.py").write_text(f"def f():\n    {line}\n")
    found = names(folder / "entry.py") - {"plugin/entry.py"}
    assert expected in found if expected else not found


def test_a_package_of_someone_else_counts_whole_imports_of_itself_and_nothing_beside_it(tmp_path):
    for name, text in {
        "mine/__init__.py": "",
        "mine/entry.py": "from mine.parts.one import thing\nimport mine.two\nimport other\n",
        "mine/parts/__init__.py": "",
        "mine/parts/one.py": "",
        "mine/two.py": "DEVICE: str = 'cuda'\n",
        "other.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert names(tmp_path / "mine" / "entry.py") == {"mine/entry.py", "parts/one.py"}


PLUGIN = """
from harness.contracts import Scan
from harness.registry import scans


@scans.register("{name}", version=1)
def make() -> Scan:
    \"\"\"Row by row, for a test.\"\"\"
    return scans.get("horizontal").factory()
"""


def test_a_plug_in_that_is_a_file_takes_part_and_makes_its_records_stale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_scan.py").write_text(PLUGIN.format(name="test-provenance-scan"))
    load_plugin("my_scan.py")
    cell = cell_from("majority", "gru", "test-provenance-scan", "standard")
    monkeypatch.chdir("/")  # the path was relative
    record = {"task": cell.task, "architecture": cell.architecture, "scan": cell.scan, "protocol": cell.protocol}
    record |= {"device": "cpu", "source": source_of(cell)}
    assert not is_stale(record)
    file = tmp_path / "my_scan.py"
    assert source_after(monkeypatch, file) == source_of(cell_from(*CELL))
    assert source_after(monkeypatch, file, cell=("majority", "gru", cell.scan, "standard")) != source_of(cell)


@pytest.mark.parametrize(("folder", "counts"), [("tasks", True), ("model", True), ("reports", False), ("store", False)])
def test_in_a_wheel_the_folders_of_entries_lie_under_harness_and_count(folder, counts):
    assert provenance._counts(ROOT / "harness" / folder / "x.py") == counts


def test_an_entry_of_a_script_takes_part_too(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        PLUGIN.format(name="script-scan")
        + "from harness.registry.cells import cell_from\nfrom harness.store.provenance import source_of\n"
        + "print(source_of(cell_from('majority', 'gru', 'script-scan', 'standard')))\n"
    )
    sources = []
    for more in ("", "# edited\n"):
        script.write_text(script.read_text() + more)
        sources.append(subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout)
    assert len(set(sources)) == 2
