"""The page from records that nobody ran: known winners are named, ties are not, nothing is dropped."""

import re

import pytest

from harness.reports.page import Page
from harness.reports.scan_orders import page as page_module
from harness.reports.scan_orders.page import write_page
from harness.reports.scan_orders.results import results_of
from harness.reports.scan_orders.summary import judge, sentences_of


@pytest.fixture(scope="module")
def page(winner, timings, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.md"
    pictures = write_page(winner, timings, path, store="s.sqlite", command="python -m harness scan-orders report")
    return path, path.read_text(), pictures


@pytest.fixture
def written(monkeypatch, tmp_path):
    """The page's text, with nothing drawn."""
    monkeypatch.setattr(Page, "draw", lambda *_: [])
    monkeypatch.setattr(page_module, "draw_png", lambda *_, **__: None)

    def write(records):
        write_page(records, [], tmp_path / "page.md", store="s.sqlite", command="python -m harness scan-orders report")
        return (tmp_path / "page.md").read_text()

    return write


def sentences(records):
    return " ".join(sentences_of(judge(results_of(records, [])[0])))


def section(text, title):
    return text.partition(f"## {title}")[2].partition("\n## ")[0]


def test_the_winner_is_named_on_the_first_screen(page):
    _, text, _ = page
    first, short = text.partition("\n## ")[0], section(text, "In short")
    assert "hilbert better in 4" in first and re.search(r"largest effect .* \+0\.\d+ \[\+0", first)
    assert "tuned per cell" in first
    assert "gated-ssm: **hilbert** (significant on locality2d and majority2d)" in short
    assert "a random order is significantly worse than the best in 4 of 4" in short
    assert "| locality2d | gated-ssm | **hilbert** |" in short


def test_every_section_and_every_picture_is_there(page):
    path, text, pictures = page
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == [
        "What was asked?",
        "In short",
        "What do the orders look like?",
        "Is Hilbert better than rows?",
        "Which orders differ significantly?",
        "How well, and how fast?",
        "How much does the learning rate decide?",
        "Does the theory's figure predict which scan wins?",
        "Does what was learned along one order hold along another?",
        "What does an order cost?",
        "What others measured",
    ]
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert sorted(shown) == sorted(picture.name for picture in pictures)
    assert len(shown) == 6
    assert all((path.parent / name).stat().st_size > 5000 for name in shown)


def test_the_primary_family_is_the_declared_one(page):
    table = section(page[1], "Is Hilbert better than rows?")
    assert "4 comparisons" in table
    assert table.count("significantly different, p=0.00781") == 4  # 2 / 2^10, Holm over 4


def test_what_the_tables_say_of_the_records(page):
    text = page[1]
    assert "100 [100, 100], 10 of 10" in text  # hilbert gets half-way
    assert ">300, 0 of 10" in text  # random does not
    assert "0.01 (edge)" not in text and "In 0 of" not in text
    assert "| gated-ssm | hilbert | 1 | 1.10 | 1.10 |" in section(text, "What does an order cost?")
    cost = section(text, "Does what was learned along one order hold")
    assert re.search(r"\| locality2d \| gated-ssm \| \+0\.1\d\d \[", cost)
    theory = section(text, "Does the theory's figure")
    assert "| gated-ssm | locality2d and majority2d | trained |" in theory
    assert "| local-attention | locality2d and majority2d | 0.9 |" in theory
    assert section(text, "What others measured").count("reported |") == 6
    assert "- runs: 240 done" in text


def test_orders_that_tie_are_untestable_and_none_is_recommended(make_study, written):
    records = make_study(dict.fromkeys(("horizontal", "hilbert", "morton"), 0.7), spread=0.0)
    text = sentences(records)
    assert "No test here finds a significant difference between orders" in text
    assert "4 are untestable" in text
    assert "hilbert better in 0, worse in 0" in text
    page = written(records)
    assert "not testable: all orders score alike" in page
    assert "all alike" in section(page, "Does the theory's figure")


def test_noise_alone_names_no_best_order(make_study):
    text = sentences(make_study(dict.fromkeys(("horizontal", "snake", "hilbert", "morton"), 0.7), seeds=5))
    assert "No test here finds a significant difference between orders" in text
    assert "underpowered in 4" in text  # five seeds, four comparisons
    assert "no effect of hilbert against rows could come out significant, however large" in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_are_said_to_decide_nothing(make_study, written, seeds):
    records = make_study({"horizontal": 0.6, "hilbert": 0.9, "random": 0.5}, seeds=seeds)
    text = written(records)
    assert f"underpowered at n={seeds}: at least three" in text
    assert f"underpowered at n={seeds}" in text
    assert "No test here finds a significant difference between orders" in text


def test_a_single_order_without_hilbert_is_written_up_too(make_study, written):
    text = written(make_study({"snake": 0.7}, seeds=3))
    assert "Not known: no seed has a run under both orders." in text
    assert "1 order, Friedman's test takes three" in text


def test_runs_that_diverged_count_as_chance_and_are_shown(make_study, written):
    levels = {"horizontal": 0.8, "hilbert": 0.81, "snake": 0.7}
    records = make_study(levels, tasks=("locality2d",), architectures=("gated-ssm",))
    for record in records:
        if record["scan"] == "hilbert":
            record |= {"status": "diverged", "reason": "loss inf at step 7", "steps_to_threshold": None}
    text = written(records)
    assert "hilbert better in 0, worse in 1" in text
    assert "| gated-ssm | hilbert | 0.500 ± 0.000 (n=10); 10 diverged: loss inf at step 7 |" in text
    assert "10 runs diverged: locality2d, gated-ssm, hilbert: loss inf at step 7" in text


def test_what_cannot_run_or_failed_is_listed_with_its_reason_and_never_ranked(make_study, tmp_path):
    levels = {"horizontal": 0.8, "hilbert": 0.7, "snake": 0.6, "peano": 0.9}
    records = make_study(levels, tasks=("locality2d",), architectures=("gated-ssm",))
    for record in records:
        if record["scan"] == "peano":
            record |= {"status": "unsupported", "reason": "peano needs 3^k squares", "grid": None}
        if record["scan"] == "snake" and record["seed"] == 3:
            record |= {"status": "failed", "reason": "RuntimeError: boom"}
    pictures = write_page(
        records, [], tmp_path / "page.md", store="s.sqlite", command="python -m harness scan-orders report"
    )
    assert all(picture.stat().st_size > 5000 for picture in pictures)
    text = (tmp_path / "page.md").read_text()
    assert "10 runs unsupported: locality2d, gated-ssm, peano: peano needs 3^k squares" in text
    assert "1 run failed: locality2d, gated-ssm, snake: RuntimeError: boom" in text
    ranks = section(text, "Which orders differ significantly?")
    assert "peano" not in ranks
    assert re.search(r"\| locality2d \| gated-ssm \| 9 \|", ranks)  # the seed that failed under one order is left out


def test_cross_validated_tasks_carry_the_correction(make_study):
    plain = make_study({"horizontal": 0.7, "hilbert": 0.71}, tasks=("locality2d",), seeds=5)
    folds = [record | {"test_train_ratio": 0.25} for record in plain]
    first, second = (judge(results_of(records, [])[0]).effects[0].comparison for records in (plain, folds))
    assert second.effect.half == pytest.approx(first.effect.half * (0.45 / 0.2) ** 0.5)
    assert first.underpowered and not second.underpowered


def test_several_routes_are_held_against_one_at_equal_compute(make_study, written):
    records = make_study({"horizontal": 0.8, "bidirectional": 0.9}, tasks=("locality2d",), architectures=("gated-ssm",))
    text = section(written(records), "What does an order cost?")
    # two routes, half of 300 steps: 45% of the way from .5 to .9
    assert re.search(
        r"\| locality2d \| gated-ssm \| bidirectional \| 2 \| 0\.9\d\d \| 0\.68\d \| 0\.80\d \| -0\.1", text
    )


def test_another_setting_has_a_section_of_its_own(winner, make_study, written):
    last = make_study({"horizontal": 0.6, "hilbert": 0.55}, seeds=3)
    for record in last:
        record["protocol"] = record["protocol"].replace("readout=mean", "readout=last")
        record["cell"] += "-last"
    text = written(winner + last)
    assert "## Under another setting: standard:readout=last" in text
    assert "0.55" in section(text, "Under another setting")


def test_a_cell_that_was_tuned_again_is_not_counted_twice(make_study):
    old = make_study({"horizontal": 0.6, "hilbert": 0.6}, tasks=("locality2d",), seeds=3)
    new = make_study({"horizontal": 0.8, "hilbert": 0.8}, tasks=("locality2d",), seeds=3)
    for record in new:
        record |= {"cell": record["cell"] + "new", "started_at": "2026-02-01T00:00:00"}
    results = results_of(new + old, [])[0]
    assert sum(place.superseded for place in results.places) == 4
    assert all(row.accuracy.mean > 0.75 for row in results.rows)


def test_the_cost_of_another_order_is_taken_on_the_samples_that_all_orders_read(make_study):
    from harness.reports.scan_orders.transfer import losses_of

    records = make_study({"horizontal": 0.9}, tasks=("locality2d",), architectures=("gated-ssm",), seeds=2)
    for record in records:
        record["transfer"] = {"horizontal": 0.8, "hilbert": 0.6, "snake": 0.5}
    results = results_of(records, [])[0]
    assert losses_of(results.places[0]) == pytest.approx([0.25, 0.25])
