"""docs/gpu.md: untested until a GPU was there, then what it found."""

from pathlib import Path

import pytest

from harness.__main__ import main
from harness.gpu import page, wheels
from harness.gpu.catalogue import all_pieces
from harness.gpu.claims import CLAIMS, GpuClaim
from harness.gpu.page import render
from harness.gpu.pieces import Row
from harness.gpu.results import FAILED, read_all, write

ROOT = Path(page.__file__).parents[2]


def test_the_page_is_what_the_kept_results_give():
    assert (ROOT / "docs" / "gpu.md").read_text() == render(read_all(ROOT / "docs" / "records" / "gpu"), all_pieces())


def test_without_results_the_page_says_untested_and_names_no_card(tmp_path):
    assert main(["gpu-check", "report", str(tmp_path), "-o", str(tmp_path / "gpu.md")]) == 0
    text = (tmp_path / "gpu.md").read_text()
    assert "**Untested: nothing of this project has been run on a GPU.**" in text
    assert "Everything that was tried" not in text


def test_a_new_architecture_changes_no_page_without_results(make_piece):
    more = [*all_pieces(), make_piece("architecture-new", minutes=5.0)]
    assert render([], more) == render([], all_pieces())


def test_results_of_a_cpu_count_for_nothing(result_of):
    cpu = result_of("kernels", Row(case="a", passed=True, found="b"), device="cpu", card="A Processor")
    small = result_of("kernels", Row(case="a", passed=True, found="b"), small=True)
    assert render([cpu, small], all_pieces()) == render([], all_pieces())


def test_a_page_of_results_names_the_card_what_is_wrong_and_what_is_untested(result_of):
    right = Row(case="mamba float32", passed=True, found="output 1e-06; a|b")
    wrong = Row(case="mamba bfloat16", passed=False, found="output 3e-01")
    measured = Row(case="time", passed=None, found="4 ms")
    results = [
        result_of("kernels", right, measured),
        result_of("architecture-mamba", right, wrong),
        result_of("replicas", status=FAILED, reason="stopped after 8.0 minutes"),
    ]
    text = render(results, all_pieces())
    assert "Run on **Made-up Card 80GB**, at commit abc; torch 2.13.0; not installed: fla-core." in text
    assert f"2 of {len(all_pieces())} pieces came to their end." in text
    assert "**Wrong or failed: architecture-mamba, replicas.**" in text
    assert "| Made-up Card 80GB | 1 right, 1 not judged | 12 |" in text
    assert "| mamba bfloat16 | **WRONG** | output 3e-01 |" in text and "output 1e-06; a\\|b" in text
    untested = next(line for line in text.splitlines() if line.startswith("**Untested: "))
    assert "noise-floor" in untested and "replicas" in untested and "kernels" not in untested
    assert "nothing of this project" not in text


def test_results_of_two_cards_are_not_passed_off_as_one(result_of):
    results = [result_of("kernels"), result_of("replicas", card="Another Card")]
    assert "The results come from different cards" in render(results, all_pieces())


def test_results_go_through_their_files(result_of, tmp_path):
    result = result_of("kernels", Row(case="a", passed=True, found="b", facts={"seconds": 1.5}))
    write(tmp_path, result)
    assert read_all(tmp_path) == [result]


def test_claims_stand_in_a_table_with_the_time_they_take(monkeypatch):
    claim = GpuClaim(
        name="made-up", title="a claim", published=".99", source="a paper", setting="reduced: shorter", minutes=90.0,
        command="python -m harness x",
    )  # fmt: skip
    assert "None is declared yet." in render([], all_pieces()) or CLAIMS
    monkeypatch.setattr(page, "CLAIMS", [claim])
    row = "| a claim | .99 | a paper | reduced: shorter | 90 | `python -m harness x` |"
    assert row in render([], all_pieces())


def test_no_other_page_speaks_of_what_a_gpu_does():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        if path.name != "gpu.md":
            text = path.read_text()
            for word in ("CUDA graph", "run on a GPU", "flash-linear-attention", "flex_attention", "tf32"):
                assert word not in text, f"{path.name}: {word}"


def test_wheels_are_listed_with_their_size(capsys):
    assert main(["gpu-check", "wheels"]) == 0
    said = capsys.readouterr().out
    assert all(wheel.name in said for wheel in wheels.WHEELS)
    assert "torch==2.13.0 | 527 MB" in said


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_report_of_no_folder_is_one_line(tmp_path, capsys, folder):
    (tmp_path / "file").write_text("")
    assert main(["gpu-check", "report", str(tmp_path / folder)]) == 2
    assert "takes a folder of results" in capsys.readouterr().err
