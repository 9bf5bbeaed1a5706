"""What the README shows works as shown."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if ".register(" in block]
ASKS = {"scans": "--scan", "architectures": "--arch", "tasks": "--task"}


def test_there_is_an_example_for_each_axis():
    assert sorted(axis for block in BLOCKS for axis in ASKS if f"@{axis}.register" in block) == sorted(ASKS)


@pytest.mark.parametrize("axis", ASKS)
def test_an_example_runs_as_a_plug_in(tmp_path, tiny_protocol, axis):
    (block,) = [block for block in BLOCKS if f"@{axis}.register" in block]
    (name,) = re.findall(r'\.register\("([a-z-]+)"', block)
    (tmp_path / "mine.py").write_text(block)
    options = {"--task": "majority:length=16", "--arch": "mean-pool", "--scan": "horizontal", ASKS[axis]: name}
    arguments = [word for pair in options.items() for word in pair]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "harness",
            "run",
            "--plugin",
            "mine.py",
            "--seeds",
            "2",
            "--device",
            "cpu",
            "--no-timing",
        ]
        + ["--protocol", tiny_protocol, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert "(n=2)" in result.stdout
    assert name in result.stdout or axis == "tasks"


def test_the_examples_keep_the_contracts(tmp_path):
    for number, block in enumerate(BLOCKS):
        (tmp_path / f"mine{number}.py").write_text(block)
        command = [sys.executable, "-m", "harness", "check", f"mine{number}.py"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr


def test_every_file_that_the_readme_links_is_there():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (Path(__file__).parents[1] / link).exists(), link


def test_every_command_that_the_readme_names_exists():
    from harness.__main__ import COMMANDS

    named = set(re.findall(r"python -m harness ([a-z-]+)", README))
    assert named == set(COMMANDS)
