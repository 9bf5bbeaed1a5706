"""A package of somebody's, installed by pip, brings a task, an architecture and a scan to the command line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "example_package"
NAMES = {"tasks": "bars", "architectures": "token-shift", "scans": "outwards"}
FEW = "standard:steps=4,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=8"
RUN = [
    "run", "--task", "bars:side=4", "--arch", "token-shift", "--scan", "outwards", "--seeds", "2", "--protocol", FEW,
    "--device", "cpu", "--workers", "1",
]  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which pip installed the package, as `--target` does; the network is not asked."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(SOURCE, folder / "source")  # pip builds in the source tree
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", folder / "site", folder / "source"], check=True, capture_output=True, timeout=120)
    return folder / "site"


def command(*arguments, cwd, path=None, check=0):
    environment = {**os.environ, "COLUMNS": "200"} | ({"PYTHONPATH": str(path)} if path else {})
    result = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert result.returncode == check, result.stderr
    assert "Traceback" not in result.stderr
    return result


def test_list_names_what_an_installed_package_brings(installed, tmp_path):
    listing = json.loads(command("list", "--format", "json", cwd=tmp_path, path=installed).stdout)
    for axis, name in NAMES.items():
        assert name in [entry["name"] for entry in listing[axis]]
    without = json.loads(command("list", "--format", "json", cwd=tmp_path).stdout)
    assert NAMES["tasks"] not in [entry["name"] for entry in without["tasks"]]


def test_an_installed_package_runs_in_workers_and_is_timed_and_reported(installed, tmp_path):
    result = command(*RUN, cwd=tmp_path, path=installed)
    assert "token-shift" in result.stdout and "outwards" in result.stdout and "(n=2)" in result.stdout
    assert "failed" not in result.stdout
    again = command(*RUN, cwd=tmp_path, path=installed)
    assert "2 of 2 runs came from" in again.stderr and "stale" not in again.stdout
    command("report", "results.sqlite", "-o", "page.md", cwd=tmp_path)  # without the package: records are enough
    assert "| token-shift | outwards" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize("name", NAMES.values())
def test_what_the_package_brings_keeps_the_contracts(installed, tmp_path, name):
    result = command("check", name, cwd=tmp_path, path=installed)
    assert name in result.stdout and "holds" in result.stdout


def test_its_files_work_one_by_one_as_plug_ins_without_being_installed(tmp_path):
    files = [str(SOURCE / "harness_example" / f"{name.replace('-', '_')}.py") for name in NAMES.values()]
    plugins = [word for file in files for word in ("--plugin", file)]
    result = command(*RUN, "--no-timing", *plugins, cwd=tmp_path)
    assert "token-shift" in result.stdout and "(n=2)" in result.stdout


def test_a_module_that_its_entry_point_loads_may_be_named_as_a_plug_in_too(installed, tmp_path):
    result = command("list", "scans", "--plugin", "harness_example.outwards", cwd=tmp_path, path=installed)
    assert result.stdout.count("  outwards ") == 1


def test_a_package_that_does_not_load_is_one_warning_and_takes_nothing_down(tmp_path):
    site = tmp_path / "site"
    (site / "broken-1.dist-info").mkdir(parents=True)
    (site / "broken-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (site / "broken-1.dist-info" / "entry_points.txt").write_text("[harness.scans]\nbroken = broken_module\n")
    (site / "broken_module.py").write_text("raise RuntimeError('as written\\nover two lines')\n")
    result = command("list", "scans", cwd=tmp_path, path=site)
    assert "hilbert" in result.stdout
    assert len(result.stderr.splitlines()) == 1 and "broken_module" in result.stderr and "as written" in result.stderr
