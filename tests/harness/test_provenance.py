"""Which source a record is bound to: what could have changed its numbers, and nothing else."""

from pathlib import Path

import harness
from harness.cells import cell_from
from harness.provenance import imported_files, source_of

ROOT = Path(harness.__file__).parent.parent


def names(path):
    return {f"{file.parent.name}/{file.name}" for file in imported_files(path)}


def test_what_a_factory_imports_when_it_is_called_counts_and_its_kernels_in_cpp_too():
    found = names(ROOT / "architectures" / "mamba.py")
    assert {"architectures/mamba.py", "mixers/mamba.py", "kernels/selective_scan.cpp"} <= found
    assert not any("lstm" in name or "recurrent" in name for name in found)


def test_shared_code_of_a_folder_counts_where_it_is_imported():
    assert "tasks/_images.py" in names(ROOT / "tasks" / "locality2d.py")
    assert "tasks/_images.py" not in names(ROOT / "tasks" / "majority.py")
    assert names(ROOT / "scans" / "zigma8.py") == {"scans/zigma8.py", "scans/snake.py"}


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
