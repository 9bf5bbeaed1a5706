"""`known-answers` as a user meets it, with one small claim."""

from pathlib import Path

import pytest

import harness
from harness.__main__ import main
from harness.reports.known_answers import strip, study
from harness.reports.known_answers.rules import Verdict
from harness.reports.known_answers.strip import strip_for, text_of

from .test_claims import CLAIM

RECORDS = Path(harness.__file__).parents[1] / "docs" / "records" / "known-answers.parquet"
TUNED = CLAIM.replace('id = "x"', 'id = "tuned"').replace("seeds = 5", "seeds = 5\nrates = [0.001, 0.01]")


@pytest.fixture
def claims(tmp_path, monkeypatch):
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "x.toml").write_text(CLAIM)
    (folder / "tuned.toml").write_text(TUNED)
    far = CLAIM.replace('id = "x"', 'id = "far"').replace('"minutes"', '"gpu"').replace("length=8", "length=9")
    (folder / "far.toml").write_text(far)
    monkeypatch.setattr(study, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)


def said(capsys, *arguments):
    code = main(["known-answers", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


RUN = ("run", "--workers", 0, "--store", "s.sqlite", "--device", "cpu", "--quiet")


def test_claims_are_listed_shown_run_and_written_up(claims, capsys, tmp_path):
    code, out, _ = said(capsys, "list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["tuned", "x", "far"]
    code, out, _ = said(capsys, "show", "far")
    assert code == 0 and "rule: gru reaches 0 in more than 50% of seeds" in out and "--device cuda" in out

    code, out, err = said(capsys, *RUN, "x", "--seeds", 2)
    assert code == 0, err
    assert out.startswith("not run here   A GRU beats pooling (gru: 2 of 5 runs)")
    code, out, err = said(capsys, *RUN)
    assert code == 0, err
    assert out.splitlines()[0].startswith("not reproduced A GRU beats pooling") and len(out.splitlines()) == 2
    before = (tmp_path / "s.sqlite").read_bytes()
    assert said(capsys, *RUN)[1] == out  # from the store alone
    assert len((tmp_path / "s.sqlite").read_bytes()) == len(before)

    assert main(["export", "s.sqlite", "--tuning", "-o", "s.parquet"]) == 0
    for store in ("s.sqlite", "s.parquet"):
        code, _, err = said(capsys, "report", "--store", store, "-o", f"{store[2:]}.md")
        assert code == 0, err
    pages = [(tmp_path / name).read_text() for name in ("sqlite.md", "parquet.md")]
    for page in pages:
        for part in (
            "Of 3 published claims: 2 not reproduced, 1 not run here.",
            "- 🟥 A GRU beats pooling: not reproduced, in a reduced setting (arXiv 1)",
            "- ⬜ 1 claim that takes a GPU: not run here (known-answers list)",
            "share 1.00 [0.55, 1.00]; difference", "gru 0.", "pool 0.",
            "`python -m harness known-answers run far --device cuda`",
            "-verdicts.png", "-curves.png", "-rates.png",
        ):  # fmt: skip
            assert part in page, part
        assert "| tuned | **not reproduced** |" in page and "(k=7)" in page and "(k=5)" in page


def test_quick_runs_are_no_evidence(claims, capsys):
    code, out, err = said(capsys, *RUN, "--quick")
    assert code == 0 and out == "", err
    code, _, err = said(capsys, "report", "--store", "s.sqlite")
    assert code == 2 and "holds no runs of it" in err


def test_mistakes_are_one_line(claims, capsys):
    assert "--cost is one of" in said(capsys, *RUN, "--cost", "days")[2]
    assert "'y' is no claim" in said(capsys, "show", "y")[2]


def test_files_that_are_not_here_are_told_before_anything_runs(claims, capsys, tmp_path):
    text = CLAIM.replace('id = "x"', 'id = "files"').replace("majority:length=8", "cifar10:root=nowhere")
    (study.FOLDER / "files.toml").write_text(text)
    code, _, err = said(capsys, *RUN, "files")
    assert code == 2 and "root must be a folder, got 'nowhere'" in err and not (tmp_path / "s.sqlite").exists()


def test_other_pages_show_the_claims_that_speak_of_their_cells(claims, monkeypatch, tmp_path):
    kept = tmp_path / "verdicts.toml"
    kept.write_text(text_of({"x": Verdict.REPRODUCED, "tuned": Verdict.UNDERPOWERED}))
    monkeypatch.setattr(strip, "VERDICTS", kept)
    strip.kept_verdicts.cache_clear()
    try:
        found = strip_for(tasks=["majority:length=30"], architectures=["gru", "lstm"])
        assert [each.reproduced for each in found] == [True, None, None]
        assert [each.statement for each in found] == [
            "A GRU beats pooling: reproduced, in a reduced setting",
            "A GRU beats pooling: underpowered, in a reduced setting",
            "1 claim that takes a GPU: not run here",
        ]
        assert strip_for(architectures=["mamba"]) == [] == strip_for(tasks=["locality"])
    finally:
        strip.kept_verdicts.cache_clear()


@pytest.mark.skipif(not RECORDS.is_file(), reason="no records are kept yet")
def test_the_verdicts_kept_are_those_of_the_records(capsys):
    code, out, err = said(capsys, "verdicts", "--store", RECORDS)
    assert code == 0 and out == strip.VERDICTS.read_text(), err
