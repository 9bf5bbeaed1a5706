"""The page machine, the one figure style, and the designs of studies."""

import itertools
import re

import pytest

from harness.registry.study import ReadingStage, Study, TimingStage
from harness.reports.designs import run_command
from harness.reports.figures import PALETTE, colours_of, new_figure
from harness.reports.html_page import html_from
from harness.reports.page import KnownAnswer, Page, Question
from harness.reports.text import counted, joined, span, table

from ..analysis.test_tables import records


def run_of(seed, day):
    facts = {"started_at": f"2026-01-{day:02}T00:00:00", "kernel": "torch 1/eager", "reason": None}
    return records()[0] | facts | {"seed": seed}


@pytest.fixture
def page(tmp_path):
    return Page(
        path=tmp_path / "p.md",
        title="A question?",
        store="s.sqlite",
        records=[run_of(0, 1), run_of(1, 3)],
        commands=["python -m harness run", "python -m harness report"],
        finding="Yes, by +0.10 [+0.05, +0.15].",
        limits=["Small.", "Synthetic.", "Young."],
        questions=[Question(id="q", statement="Is it?", family="none", declared=True, smallest_effect=0.01)],
        sections=["## A section", "Told."],
        appendix=["More."],
    )


def test_parts_come_in_one_order_and_the_appendix_folds(page):
    page.picture = page.draw("front", "what it shows", new_figure(2, 2))
    assert [picture.name for picture in page.write()] == ["p-front.png"]
    text = page.path.read_text()
    parts = (
        "# A question?", "Yes, by +0.10", "![what it shows](p-front.png)", "Known answers:", "- ⬜ none run yet",
        "Limits:", "From 2 runs in `s.sqlite`, made 2026-01-01 to 2026-01-03", "python -m harness report",
        "## What was asked?", "| q | Is it? | none | declared before the runs | 0.01 |", "## A section", "<details>",
        "<summary>Appendix: outcomes and provenance</summary>", "- runs: 2 done", "More.", "</details>",
    )  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_page_is_the_same_on_any_day(page):
    page.write()
    first = page.path.read_bytes()
    page.write()
    assert page.path.read_bytes() == first
    assert set(re.findall(r"\d{4}-\d\d-\d\d", first.decode())) == {"2026-01-01", "2026-01-03"}


def test_known_answers_are_green_red_or_grey(page):
    page.known_answers = [
        KnownAnswer(statement=str(each), source="a paper", reproduced=each) for each in (True, False, None)
    ]
    page.write()
    text = page.path.read_text()
    assert "- 🟩 True (a paper)\n- 🟥 False (a paper)\n- ⬜ None (a paper)" in text


def test_in_html_the_appendix_is_an_element_and_other_html_is_text(page):
    page.sections = ["## A section", "No <script>alert(1)</script> here."]
    page.write()
    found = html_from(page.path)
    assert re.search(r"<details>\s*<summary>Appendix: outcomes and provenance</summary>\s*<ul>", found)
    assert "</details>" in found and "<p></details>" not in found and "<script>alert" not in found


def test_a_thing_has_its_colour_whatever_stands_beside_it():
    assert colours_of(["hilbert", "random"])["hilbert"] == colours_of(["snake", "window", "hilbert"])["hilbert"]
    assert colours_of(["mamba:conv=1"]) == {"mamba:conv=1": PALETTE[0]}
    many = colours_of([f"scan{n}" for n in range(len(PALETTE))] + ["mamba"])
    assert many["mamba"] == PALETTE[0] and many["scan0"] != PALETTE[0]
    both = colours_of(["global-attention", "global-attention:positions=2d"])
    assert len(set(both.values())) == 2


def test_words_and_numbers():
    assert joined(["a", "b", "c"]) == "a, b and c" and joined(["a"]) == "a"
    assert counted(1, "run") == "1 run" and counted(2000, "run") == "2,000 runs"
    assert span(0.5, 0.25, 0.75, ".2f") == "0.50 [0.25, 0.75]" and span(0.5, float("nan"), 0.75) == "0.500"
    assert table([{"a": "1"}, {"b": "2|3"}]).splitlines()[2:] == ["| 1 |  |", "|  | 2\\|3 |"]


def drive(design, answer):
    """Every stage of a design, the records of each made up."""
    stages, sent = [], None
    while True:
        try:
            stages.append(design.send(sent))
        except StopIteration:
            return stages
        sent = answer(stages[-1])


def test_scan_orders_runs_all_cells_then_further_seeds_of_the_primary_pair():
    from harness.reports.scan_orders.command import STUDY

    first, second = drive(STUDY.design("default", None), lambda _: [])
    assert first.tune and first.timing and list(first.seeds) == list(range(5))
    assert {cell.scan for cell in second.cells} == {"horizontal", "hilbert"} and not second.timing
    assert list(second.seeds) == list(range(5, 10)) and set(second.cells) < set(first.cells)
    assert len(drive(STUDY.design("default", 3), lambda _: [])) == 1
    assert "seeds: 5 (10 under horizontal and hilbert)" in STUDY.describe("default")


def test_a_page_names_the_command_that_made_its_runs():
    from types import SimpleNamespace

    from harness.reports.scan_orders.study import NAME, PLANS

    facts = ("task", "architecture", "scan", "protocol")
    rows = [
        SimpleNamespace(**{name: getattr(cell, name) for name in facts}, records=[0, 1], device="cpu")
        for cell in PLANS["quick"](None).cells
    ]
    assert run_command(NAME, PLANS, rows, "s") == "python -m harness scan-orders run --quick --device cpu --store s"
    assert run_command(NAME, PLANS, rows[1:], "s").startswith("# no size of the study has just these cells")


def test_the_papers_bisections_are_asked_again_until_nothing_is_new():
    from harness.reports.paper.command import STUDY

    def answer(stage):
        return [
            {name: getattr(cell, name) for name in ("task", "architecture", "scan", "protocol")}
            | {"seed": seed, "lr_selection": None, "status": "done", "step_budget": 9, "steps_to_convergence": None}
            for cell in stage.cells
            for seed in stage.seeds
        ]

    stages = drive(STUDY.design("quick", 2, ids=["thm1"]), answer)
    assert 4 <= len(stages) <= 6  # 19 numbers of samples
    cells = [cell for stage in stages for cell in stage.cells]
    assert len(set(cells)) == len(cells) and all(list(stage.seeds) == [0, 1] for stage in stages)
    tuned = [stage.tune for stage in drive(STUDY.design("quick", None, ids=["fig6", "fig14"]), answer)]
    assert tuned == [False, True]


def test_slides_take_the_noise_from_the_first_stage_and_are_written_once(tmp_path, monkeypatch):
    from harness.reports.slides import study
    from harness.reports.slides.command import STUDY

    written = []
    monkeypatch.setattr(study, "_written", lambda folder, *how: written.append((folder.name, *how)) or folder)
    scores = itertools.chain([0.5] * 6, itertools.repeat(0.7))

    def answer(stage):
        if not isinstance(stage, Study):
            return []
        return [
            {"task": cell.task, "architecture": cell.architecture, "status": "done", "test_accuracy": next(scores)}
            for cell in stage.cells
            for _ in stage.seeds
        ]

    stages = drive(STUDY.design("quick", None, folder=str(tmp_path)), answer)
    assert [type(stage) for stage in stages] == [Study, Study, TimingStage, ReadingStage]
    (name, task, count, form), read = written
    assert name == "quick-noise0.225" and "noise=0.225" in task and (count, form) == (60, "clam")
    assert read[0] == "quick-read" and read[3] == "trident"
    assert all("quick-noise0.225" in cell.task for cell in stages[1].cells) and list(stages[1].seeds) == [0, 1]
