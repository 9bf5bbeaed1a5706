"""What the comparison page says beside its tables: seeds that are needed, and scores against learning rates."""

import random

from harness.analysis.summary import findings_of, rows_of
from harness.registry.cells import LrSelection
from harness.reports import rates, seeds
from harness.reports.comparison import write_report
from harness.reports.page import Page

from ..analysis.test_tables import records, timing

GRID = LrSelection(rates=(0.001, 0.003, 0.01), seeds=1)
FACTS = {"started_at": "2026-01-01T00:00:00", "curve": {"step": [0, 1], "validation_accuracy": [0.5, 0.6]}}


def empty_page(folder):
    return Page(path=folder / "p.md", title="A page", store="s.sqlite", records=[], commands=[])


def pair(architecture="mamba", *, spread=0.02, count=10, **more):
    draw = random.Random(architecture)
    return [
        record | FACTS
        for scan in ("horizontal", "hilbert")
        for record in records(architecture, scan, scores=[0.7 + draw.gauss(0, spread) for _ in range(count)], **more)
    ]


def tuned(architecture, best, *, rates=(0.001, 0.003, 0.01)):
    """Final runs at the best rate, and the tuning runs that chose it."""
    final = pair(architecture, rate=best, lr_selection=GRID)
    trials = [
        record | {"purpose": "tuning", "seed": 1_000_000, "learning_rate": rate}
        | {"validation_accuracy": 0.9 - abs(rate - best), "protocol": record["protocol"].replace(str(best), str(rate))}
        for record in final if record["seed"] == 0
        for rate in rates
    ]  # fmt: skip
    return final, trials


def test_the_seeds_that_a_difference_would_need_stand_below_the_primary_family():
    page = "\n".join(seeds.section(findings_of(rows_of(pair("mamba") + pair("gru", spread=0.0), []))))
    assert "power .8 at 0.05 / 2" in page
    mamba, gru = page.splitlines()[-2:]
    name, difference, spread, now, *needed = (cell.strip() for cell in mamba.strip("| ").split("|"))
    assert (name, difference, now) == ("mamba", "hilbert minus horizontal", "10")
    assert 0.01 < float(spread) < 0.05
    values = [int(cell.split(" [")[0].replace(",", "")) for cell in needed]
    assert values == sorted(values, reverse=True) and values[0] > values[-1] >= 6
    assert gru.count("|  ") >= 2  # nothing to say where all differences are alike


def test_no_primary_pair_and_a_single_seed_give_no_such_table():
    assert seeds.section(findings_of(rows_of(records(), []))) == []
    assert seeds.section(findings_of(rows_of(pair(count=1), []))) == []


def section(page, rows, trials):
    return rates.section(page, "rates", rows, rates.Trials(trials), panel=lambda row: row.scan, line=lambda row: "gru")


def test_scores_against_rates_are_drawn_for_tuned_cells_only(tmp_path):
    final, trials = tuned("gru", 0.003)
    rows = rows_of(final, [])
    page = empty_page(tmp_path)
    lines = section(page, rows, trials)
    assert lines[0] == "![Score against learning rate](p-rates.png)" and "edge of the grid" not in lines[1]
    assert page.pictures[0].read_bytes().startswith(b"\x89PNG")
    assert "best rate | all rates | lost" in lines[-1] and lines[-1].count("| gru |") == 1
    elsewhere = [record | {"dtype": "bfloat16"} for record in trials]
    assert section(page, rows, elsewhere) == []
    assert section(page, rows_of(pair("gru"), []), trials) == []
    assert len(page.pictures) == 1


def test_a_chosen_rate_at_the_edge_of_the_grid_is_said(tmp_path):
    final, trials = tuned("gru", 0.01)
    lines = section(empty_page(tmp_path), rows_of(final, []), trials)
    assert "In 2 of 2 cells the chosen rate stands at the edge of the grid" in lines[1]


def test_scores_by_rate_are_means_over_runs_that_ran_to_their_end():
    base = {"status": "done", "learning_rate": 0.01}
    trials = [base | {"validation_accuracy": 0.6}, base | {"validation_accuracy": 0.8}]
    trials += [base | {"learning_rate": 0.001, "validation_accuracy": 0.9}]
    trials += [base | {"status": "diverged", "validation_accuracy": None}, base | {"validation_score": -1.0}]
    assert rates.scores_by_rate(trials) == {0.001: 0.9, 0.01: 0.7}


def test_the_page_brings_all_of_it_together(tmp_path):
    final, trials = tuned("mamba", 0.003)
    cells = {record["cell"]: record for record in final}
    timings = [timing(record, step_samples=[1.0] * 9) for record in cells.values()]
    figures = write_report(final, timings, tmp_path / "page.md", store="r.sqlite", tuning=trials)
    page = (tmp_path / "page.md").read_text()
    assert [figure.name for figure in figures] == [
        f"page-1-{name}.png" for name in ("accuracy", "curves", "speed", "rates")
    ]
    for words in ("Pareto front", "Seeds that would show", "against the learning rate", *(f.name for f in figures)):
        assert words in page
