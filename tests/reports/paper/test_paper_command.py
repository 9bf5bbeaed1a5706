"""`paper` as a user meets it."""

import pytest

from harness.__main__ import main
from harness.store.store import Store


def said(capsys, *arguments):
    code = main(["paper", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_experiments_run_resume_and_are_written_up(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = ("run", "fig14", "--seeds", 2, "--workers", 0)
    code, out, err = said(capsys, *run)
    assert code == 0, err
    assert "fig14" in out and "no verdict on the paper, whose figure is not known to us; here: shown" in out
    assert "8 runs to do" in err

    code, again, err = said(capsys, *run)
    assert code == 0 and again == out
    assert "runs to do" not in err  # nothing was left to do

    with Store("paper.sqlite", read_only=True) as store:
        assert sorted(record["seed"] for record in store.records()) == sorted([0, 1] * 4)

    code, _, err = said(capsys, "report", "-o", "page.md")
    assert code == 0 and "1 figures" in err
    page = (tmp_path / "page.md").read_text()
    assert "## fig14" in page and "## fig1\n" not in page
    assert "here: shown**" in page and "frozen gates were derived" in page
    assert "- seeds: 0, 1; made" in page
    assert "python -m harness paper run fig14 --trials 2 --store paper.sqlite\n" in page
    assert "⬜ none run yet" in page  # what the paper's figure 14 shows is not known, so it is no known answer
    assert "| a factor of 1.25 over the range |" in page  # every check has its smallest effect beside it
    assert (tmp_path / "page-fig14.png").stat().st_size > 5000


def test_the_list_names_every_experiment(capsys):
    code, out, _ = said(capsys, "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()][:4] == ["quick:", "fig1", "fig2", "fig3"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "fig7"], "'fig7' is no experiment; did you mean fig17"),
        (["run", "--seeds", "0"], "--seeds is from 1 to 100000, got 0"),
        (["run", "--workers", "-1"], "--workers is 0 or more, got -1"),
        (["run", "--device", "tpu"], "tpu"),
        (["run", "--store", "nowhere/p.sqlite"], "does not exist"),
        (["report", "--store", "none.sqlite"], "'none.sqlite' does not exist"),
        (["report", "--store", "none.sqlite", "-o", "page.txt"], "give a .md file or a .html file"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and words in err


def test_a_store_without_the_papers_runs_is_said_to_be_so(tmp_path, capsys):
    Store(tmp_path / "empty.sqlite").close()
    code, _, err = said(capsys, "report", "--store", tmp_path / "empty.sqlite")
    assert code == 2 and "holds no runs of it" in err
