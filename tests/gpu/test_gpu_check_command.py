"""The command on a machine without a GPU, and, with a stand-in, as it ends on one with."""

import pytest
import torch

from harness.__main__ import main
from harness.gpu import bench as bench_module
from harness.gpu import runner
from harness.gpu.catalogue import all_pieces
from harness.gpu.pieces import Row
from harness.gpu.results import write

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@without_gpu
def test_without_a_gpu_it_tries_what_it_can_and_ends_in_one_line(tmp_path, capsys):
    command = ["gpu-check", "--only", "architecture-identity", "--results", str(tmp_path), "--quiet"]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no GPU here: ") and "1 of 1 pieces were tried at small sizes on the CPU" in line


@pytest.fixture
def on_a_card(monkeypatch, result_of):
    """As if a GPU were there: pieces leave what `rows` says."""
    rows = {}
    monkeypatch.setattr(bench_module, "missing_gpu", lambda: None)
    monkeypatch.setattr(bench_module.Bench, "name", "Made-up Card 80GB")

    def start(piece, bench, folder, seconds):
        folder.mkdir(parents=True, exist_ok=True)
        result = result_of(piece.name, *rows.get(piece.name, [Row(case="a", passed=True, found="b")]))
        write(folder, result)
        return result

    monkeypatch.setattr(runner, "in_process_of_its_own", start)
    return rows


def test_with_a_gpu_it_ends_with_0_where_all_is_right(on_a_card, tmp_path, capsys):
    assert main(["gpu-check", "run", "--results", str(tmp_path), "--quiet"]) == 0
    count = len(all_pieces())
    assert f"Made-up Card 80GB: {count} of {count} pieces right; page: " in capsys.readouterr().out
    assert main(["gpu-check", "report", str(tmp_path)]) == 0
    assert "Run on **Made-up Card 80GB**" in capsys.readouterr().out


def test_with_a_gpu_it_ends_with_1_where_something_is_wrong_or_left(on_a_card, tmp_path, capsys):
    on_a_card["kernels"] = [Row(case="mamba tf32", passed=False, found="the plain form")]
    assert main(["gpu-check", "--results", str(tmp_path), "--minutes", "6", "--quiet"]) == 1
    captured = capsys.readouterr()
    assert "wrong: kernels: mamba tf32: the plain form" in captured.err
    assert "kernels 1 of 1 WRONG" in captured.out and "8 left, the same command goes on" in captured.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "kernel"], "did you mean kernels?"),
        (["--minutes", "soon"], "--minutes is a positive number, got 'soon'"),
        (["--minutes", "nan"], "--minutes is a positive number, got 'nan'"),
    ],
)
def test_a_mistake_is_one_line(words, said, capsys):
    assert main(["gpu-check", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_list_says_what_is_done(tmp_path, capsys, result_of):
    write(tmp_path, result_of("kernels", Row(case="a", passed=True, found="b")))
    assert main(["gpu-check", "list", "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(all_pieces()) + 1
    (kernels,) = [line for line in lines if line.startswith("kernels ")]
    assert "Made-up Card 80GB: 1 right (by other code)" in kernels
