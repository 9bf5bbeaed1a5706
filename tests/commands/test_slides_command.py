"""The study of slides, from drawing them to its page; bags checked."""

import h5py
import numpy as np
import pytest

from harness.__main__ import main
from harness.registry.cells import Run
from harness.registry.study import READING
from harness.reports.slides.page import write_page
from harness.reports.slides.study import PLANS, chosen_level, medians
from harness.store.record import begin_record
from harness.store.store import Store
from harness.timing.reading import reading_facts

HEADINGS = (
    "In short", "What does an order do?", "Is Hilbert better than rows?", "How was the difficulty chosen?",
    "Time and memory a slide", "Does memory stay bounded?", "Slides of your own",
)  # fmt: skip
SMALL = "synthetic-slides:tiles=40,spread=2,dim=6,kinds=4,clusters=1,size=2,window=2"


def made(folder, form="clam"):
    assert main(["make-slides", str(folder), "--format", form, "--slides", "24", "--task", SMALL, "--quiet"]) == 0
    return folder


def test_check_reads_every_bag_and_says_a_line_for_a_bad_one(tmp_path, capsys):
    folder = made(tmp_path / "slides")
    assert main(["slides", "check", str(folder)]) == 0
    assert "24 good bags" in capsys.readouterr().out
    with h5py.File(folder / "h5_files" / "s03.h5", "a") as file:
        file["features"][1, 2] = np.inf
    assert main(["slides", "check", str(folder)]) == 1
    found = capsys.readouterr().out
    assert "s03.h5, features: 1 values that are not finite, first in tile 1" in found and "23 good bags" in found
    assert main(["slides", "check", str(tmp_path / "none")]) == 2


def difficulty(noise, scores):
    mixers = ("mamba", "gated-ssm", "local-attention")
    task = f"synthetic-slides:tiles=80,noise={noise:g}"
    return [
        {"task": task, "architecture": mixer, "status": "done", "test_accuracy": score}
        for mixer, score in zip(mixers, scores, strict=True)
    ]


def test_the_rule_takes_the_level_whose_median_is_nearest_to_half_way():
    records = [*difficulty(0.1, (0.9, 0.95, 0.99)), *difficulty(0.2, (0.6, 0.72, 0.9)), *difficulty(0.4, (0.5,) * 3)]
    assert medians(records) == {0.1: 0.95, 0.2: 0.72, 0.4: 0.5}
    assert chosen_level(records) == 0.2
    records[0] |= {"status": "diverged", "test_accuracy": None}
    assert medians(records)[0.1] == 0.95


def test_plans_pair_every_mixer_with_every_order_and_choose_the_level_along_rows_alone():
    for plan in PLANS.values():
        assert {cell.scan for cell in plan.difficulty_cells()} == {"horizontal"}
        assert not any(cell.architecture.startswith("identity") for cell in plan.difficulty_cells())
        cells = plan.cells("slides")
        assert len({(cell.architecture, cell.scan) for cell in cells}) == len(cells) == 16
        assert len(plan.timed_cells(0.2)) == 4 * len(plan.timed_tiles)


def test_reading_takes_no_more_memory_than_is_kept(tmp_path):
    found = reading_facts(f"wsi:root={made(tmp_path / 'slides', 'trident')}", 0)
    assert found["slides"] == 24 and found["kept_bytes"] == 0
    assert 0 < found["first_bytes"] <= found["peak_bytes"] < found["first_bytes"] + 32 * 2**20
    with pytest.raises(RuntimeError, match="root must be given"):
        reading_facts("wsi", 0)


def test_without_runs_the_report_is_one_line(tmp_path, capsys):
    Store(tmp_path / "s.sqlite").close()
    assert main(["slides", "report", "--store", str(tmp_path / "s.sqlite"), "-o", str(tmp_path / "s.md")]) == 2
    assert "python -m harness slides run" in capsys.readouterr().err


def record_of(cell, seed, accuracy):
    """A record as a run leaves it, without the run."""
    record = begin_record(Run(cell=cell, seed=seed)) | {"run_seconds": 1.0, "steps": 250, "learning_rate": 0.003}
    record |= {
        "test_accuracy": accuracy,
        "test_auc": accuracy,
        "test_f1": accuracy,
        "mean_validation_accuracy": accuracy,
    }
    record |= {"steps_to_threshold": None, "parameters": 10, "kernel": "torch 2/x", "chance_accuracy": 0.5}
    if cell.task.startswith("wsi:"):
        split = {"train": ["a"] * 7, "validation": ["b"], "test": ["c"] * 2}
        data = {"slides": 10, "tiles": 100, "left_out": [], "split": split}
        return record | {"test_train_ratio": 2 / 7, "data": data}
    return record | {"order_blind_ceiling": 0.5, "position_marginal_ceiling": 0.5, "oracle_accuracy": 1.0}


def test_the_page_answers_its_questions_from_records_alone(tmp_path):
    plan = PLANS["quick"]
    records = [record_of(cell, 100, 0.7 + 0.01 * n) for n, cell in enumerate(plan.difficulty_cells())]
    records += [record_of(cell, s, 0.8 + 0.01 * s) for cell in plan.cells("slides") for s in range(5)]
    timings = [
        {"session": "s", "cell": cell.key, "task": cell.task, "architecture": cell.architecture, "scan": cell.scan,
         "device": "cpu", "dtype": "float32", "length": 200 * (1 + n // 4), "machine": "m", "torch_version": "2",
         "peak_bytes": 2**20 * (n + 1), "permutation_seconds": 0.001, "forward_seconds": 0.01, "step_seconds": 0.02,
         "step_samples": [0.02] * 9}
        for n, cell in enumerate(plan.timed_cells(0.1))
    ]  # fmt: skip
    timings.append(
        {"session": "r", "cell": READING, "slides": 20, "tiles": 8000, "file_bytes": 2**24, "seconds": 1.5,
         "kept_bytes": 2**25, "a_slide_bytes": 2**20, "first_bytes": 2**27, "peak_bytes": 2**27 + 2**20,
         "device": "cpu", "dtype": "float32"}
    )  # fmt: skip
    pictures = write_page(
        records, timings, tmp_path / "slides.md", store="slides.sqlite", command="python -m harness slides report"
    )
    assert [picture.name for picture in pictures] == ["slides-accuracy.png", "slides-cost.png"]
    page = (tmp_path / "slides.md").read_text()
    assert all(f"## {heading}" in page for heading in HEADINGS)
    assert "| mamba | horizontal | 0.820 ± 0.016 |" in page and "identity (ABMIL)" in page
    assert "128 MiB at most, after all of them 129 MiB" in page and "differ by 0.000" in page and " nan" not in page
    assert "- mamba: 0.820 horizontal, 0.820 snake, 0.820 hilbert and 0.820 random." in page
    assert "horizontal against hilbert: a difference in 0 of 3 declared comparisons" in page
    assert "nothing was learned" not in page.partition("## What does")[0]


def test_folds_that_learned_nothing_are_counted(tmp_path):
    cells = [cell for cell in PLANS["quick"].cells("slides") if cell.architecture.startswith("mamba")]
    records = [record_of(cell, s, 0.51 if s < 2 and cell.scan == "snake" else 0.9) for cell in cells for s in range(5)]
    write_page(records, [], tmp_path / "slides.md", store="slides.sqlite", command="python -m harness slides report")
    page = (tmp_path / "slides.md").read_text()
    assert "which makes means scatter: mamba along snake (2).\n" in page and "[0.331, 1.000]" in page


@pytest.mark.slow
def test_the_quick_study_runs_resumes_and_makes_its_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["slides", "run", "--quick", "--quiet"]) == 0
    with Store("slides.sqlite") as store:
        records, timings = store.records(), store.timings()
    assert len([record for record in records if record["task"].startswith("wsi:")]) == 32
    assert all(record["status"] == "done" for record in records)
    write_page(
        records, timings, tmp_path / "slides.md", store="slides.sqlite", command="python -m harness slides report"
    )
    page = (tmp_path / "slides.md").read_text()
    assert all(f"## {heading}" in page for heading in HEADINGS)
    assert main(["slides", "run", "--quick", "--quiet"]) == 0
    with Store("slides.sqlite") as store:
        assert len(store.records()) == len(records)
    assert main(["slides", "report", "-o", "slides.html"]) == 0
