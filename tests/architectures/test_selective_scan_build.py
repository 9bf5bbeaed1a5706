"""Building the C++ scan: once for all workers; without it the torch loop serves and says so."""

import os
import shutil
import stat
import subprocess
import sys

import pytest

from harness.architectures.ops.selective_scan_cpp import SOURCE
from harness.contracts import compiled as cpp_library

RUN = """
import torch
from harness.architectures.ops.selective_scan import last_path, selective_scan
ones = torch.ones(1, 2, 3)
for _ in range(2):
    y = selective_scan(ones, ones, -torch.ones(2, 1), ones[:, :1], ones[:, :1])
print(last_path(), f"{float(y.sum()):.4f}")
"""
SUM = 2 * (3 + 2 * 0.367879 + 0.135335)  # 1, then 1 + e^-1, then 1 + e^-1 + e^-2, in two channels
needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler here")


def start(cache, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("HARNESS_NO_CPP", "CXX")}
    return subprocess.Popen(
        [sys.executable, "-W", "always::RuntimeWarning", "-c", RUN],
        env={**environment, "XDG_CACHE_HOME": str(cache), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    path, _, total = output.strip().rpartition(" ")
    assert float(total) == pytest.approx(SUM, abs=1e-3)
    return path, [line for line in errors.splitlines() if "Warning" in line]


@pytest.mark.slow
@needs_compiler
def test_two_processes_at_once_build_one_library(tmp_path):
    both = [start(tmp_path), start(tmp_path)]
    assert [finish(process) for process in both] == [("cpp", []), ("cpp", [])]
    folder = tmp_path / "scan-order-harness"
    (library,) = folder.iterdir()  # no temporary file is left
    built = library.stat().st_mtime_ns
    assert finish(start(tmp_path)) == ("cpp", [])
    assert library.stat().st_mtime_ns == built


def test_the_environment_can_refuse_it(tmp_path):
    assert finish(start(tmp_path, HARNESS_NO_CPP="1")) == ("torch loop", [])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_compiler_leaves_the_torch_loop(tmp_path):
    assert finish(start(tmp_path, CXX=str(tmp_path / "no such compiler"))) == ("torch loop", [])


def test_a_failing_compiler_is_said_once_in_one_line(tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "scan.cpp:1: error: too old" >&2\nexit 1\n')
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    path, (warning,) = finish(start(tmp_path / "cache", CXX=str(compiler)))
    assert path == "torch loop"
    assert "selective_scan.cpp cannot be used (scan.cpp:1: error: too old)" in warning
    assert list((tmp_path / "cache" / "scan-order-harness").iterdir()) == []


@needs_compiler
def test_a_cache_that_cannot_be_written_leaves_the_torch_loop(tmp_path):
    occupied = tmp_path / "a file"
    occupied.touch()
    path, warnings = finish(start(occupied))
    assert path == "torch loop" and len(warnings) == 1


@needs_compiler
def test_a_library_is_named_by_all_that_made_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiler = shutil.which("c++")

    def place(source=SOURCE):
        return cpp_library._place(source, compiler)

    first = place()
    assert first == place() and first.parent == tmp_path / "scan-order-harness"
    changed = tmp_path / SOURCE.name
    changed.write_text(SOURCE.read_text() + "\n")
    names = {first, place(changed)}
    header = tmp_path / "simd.h"
    header.write_text(cpp_library.HEADER.read_text() + "\n")
    monkeypatch.setattr(cpp_library, "HEADER", header)
    names.add(place())
    monkeypatch.setattr(cpp_library, "FLAGS", (*cpp_library.FLAGS, "-g"))
    names.add(place())
    monkeypatch.setattr(cpp_library, "_processor", lambda: "another")
    names.add(place())
    assert len(names) == 5


def test_a_relative_cache_folder_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    compiler = shutil.which("c++") or "/bin/true"
    assert cpp_library._place(SOURCE, compiler).parent == tmp_path / ".cache" / "scan-order-harness"
