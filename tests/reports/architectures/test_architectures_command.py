"""`architectures` as a user meets it."""

import pytest

from harness.__main__ import main
from harness.contracts.errors import Unsupported
from harness.registry import architectures
from harness.reports.architectures import study


@pytest.fixture
def absent():
    """An architecture that cannot run here."""

    @architectures.register("absent", version=1)
    def absent(width, generator):
        """For a machine of its own."""
        raise Unsupported("it needs a machine of its own", "build one")

    yield "absent"
    architectures._entries.pop("absent")


def said(capsys, *arguments):
    code = main(["architectures", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_study_runs_resumes_and_is_written_up(tmp_path, capsys, monkeypatch, absent):
    monkeypatch.setattr("harness.timing.sampling.SAMPLE_SECONDS", 0.001)
    monkeypatch.chdir(tmp_path)
    tiny = "standard:steps=4,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=8"
    places = [("locality2d:height=4,width=4", "horizontal", tiny), (study.RECALL, "horizontal", tiny)]
    cells = study._cells(places, ("gated-ssm", absent, "mean-pool"))
    monkeypatch.setitem(study.PLANS, "quick", lambda seeds=None: study.Plan(cells=cells, seeds=1))

    run = ("run", "--quick", "--workers", 0, "--store", "s.sqlite", "--device", "cpu")
    code, out, err = said(capsys, *run)
    assert code == 0, err  # an architecture that cannot run here is no failure
    assert "How sure: 1 seeds" in out
    code, again, err = said(capsys, *run)
    assert code == 0 and again == out
    # What cannot run here is tried again: by now it might.
    assert "6 tuning runs to do, 12 more from the store" in err and "2 runs to do, 4 more from the store" in err

    code, _, err = said(capsys, "report", "--store", "s.sqlite", "-o", "page.md")
    assert code == 0 and "page.md with" in err
    page = (tmp_path / "page.md").read_text()
    assert "4 done, 2 unsupported" in page and "it needs a machine of its own" in page
    assert "python -m harness architectures run --quick --device cpu --store s.sqlite" in page


def test_the_list_names_the_three_sizes(capsys):
    code, out, _ = said(capsys, "list")
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines() if not line.startswith(" ")] == [
        "quick", "default", "full",
    ]  # fmt: skip
    assert "match=parameters" in out and "match=state" in out


def test_the_full_study_holds_the_default_one():
    assert set(study.default_plan().cells) <= set(study.full_plan().cells)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--seeds", "0"], "--seeds is from 1 to 100000, got 0"),
        (["report", "--store", "none.sqlite"], "make one with: python -m harness architectures run"),
        (["report", "--store", "none.sqlite", "-o", "page.txt"], "give a .md file or a .html file"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and words in err
