import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_wheel_puts_nothing_but_harness_at_the_top_and_brings_every_module_and_kernel(tmp_path):
    copy = tmp_path / "project"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    subprocess.run(build, cwd=copy, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"harness"}
    for folder in ("harness", "tasks", "scans", "architectures", "reports"):
        for path in [found for ending in ("py", "cpp", "h", "toml") for found in (ROOT / folder).rglob(f"*.{ending}")]:
            inside = path.relative_to(ROOT).as_posix()
            assert (inside if folder == "harness" else f"harness/{inside}") in names, inside


def test_no_plug_in_folder_imports_another():
    for folder in ("tasks", "architectures", "scans", "reports"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            for other in {"tasks", "architectures", "scans", "reports"} - {folder}:
                assert f"harness.{other}" not in text, path


def test_tasks_and_scans_know_no_torch():
    for folder in ("tasks", "scans"):
        for path in (ROOT / folder).rglob("*.py"):
            assert "import torch" not in path.read_text(), path
