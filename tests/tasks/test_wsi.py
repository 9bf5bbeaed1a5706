"""From slides on disk to records: the whole path, and what it keeps in memory."""

import csv
import json
import tracemalloc

import h5py
import numpy as np
import pytest

from harness.__main__ import main
from harness.analysis.summary import rows_of
from harness.contracts.errors import UserError
from harness.registry.cells import Run, cell_from, parse_task
from harness.registry.study import TUNING_SEEDS
from harness.training.data import Data
from harness.training.execute import execute

SMALL = "synthetic-slides:tiles=40,spread=2,dim=6,kinds=4,clusters=1,size=2,window=2"
PROTOCOL = "standard:steps=3,batch_size=4,validation_samples=12,test_samples=24,evaluate_every=3,width=8"


@pytest.fixture(scope="module", params=["clam", "trident"])
def made(request, tmp_path_factory):
    """A folder of 40 slides that the command wrote."""
    folder = tmp_path_factory.mktemp(request.param) / "slides"
    words = ["make-slides", str(folder), "--format", request.param, "--slides", "40", "--task", SMALL, "--quiet"]
    assert main(words) == 0
    return folder


def bag(folder, slide):
    return next(folder.rglob(f"*s*/{slide}.h5"))


def test_the_slides_on_disk_are_those_of_the_task(made):
    task = parse_task(f"wsi:root={made}")
    assert task.irregular and task.features == 6 and task.classes == 2 and len(task.collection.bags) == 40
    assert task.collection.facts["collisions"] == 0 and 20 <= task.lengths.min() <= task.longest <= 40
    source = parse_task(SMALL)
    features, cells = task.reader.read(task.collection.bags[7])
    from harness.contracts.seeds import seed_of

    expected = source.sample("train", 40, seed_of(kind="slides on disk", seed=0)).slide(7)
    assert np.array_equal(features, expected[0])
    assert np.array_equal(cells, expected[1] - expected[1].min(axis=0))


def test_patients_have_one_slide_or_two_and_no_patient_is_in_two_splits(made):
    with (made / "labels.csv").open() as file:
        owner = {row["slide_id"]: row["patient_id"] for row in csv.DictReader(file)}
    assert 25 < len(set(owner.values())) < 40
    tested = []
    for seed in range(5):
        split = parse_task(f"wsi:root={made}").for_run(seed).facts()["split"]
        owners = [{owner[slide] for slide in split[part]} for part in ("train", "validation", "test")]
        assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]
        tested += split["test"]
    assert sorted(tested) == sorted(owner)
    tuning = parse_task(f"wsi:root={made}").for_run(TUNING_SEEDS[0]).facts()["split"]["test"]
    assert set(tuning) != set(split["test"])


def test_a_run_from_disk_leaves_scores_and_the_split_in_its_record(made):
    cell = cell_from(f"wsi:root={made}", "gated-ssm", "hilbert", f"{PROTOCOL},readout=attention")
    records = [execute(Run(cell=cell, seed=seed)) for seed in (0, 1)]
    for record in records:
        assert record["status"] == "done", record["reason"]
        assert {"test_accuracy", "test_auc", "test_f1"} <= record.keys() and record["test_train_ratio"] > 0
        assert record["data"]["slides"] == 40 and not record["data"]["left_out"]
    splits = [set(record["data"]["split"]["test"]) for record in records]
    assert splits[0] and not splits[0] & splits[1]
    json.dumps(records)
    (row,) = rows_of(records, [])
    assert row.accuracy.n == 2


def test_both_formats_and_any_order_in_the_file_train_alike(tmp_path):
    losses = []
    folder = tmp_path / "slides"  # one place for both: a run's batches follow from its texts
    for form in ("clam", "trident"):
        main(["make-slides", str(folder), "--format", form, "--slides", "40", "--task", SMALL, "--quiet"])
        record = execute(Run(cell=cell_from(f"wsi:root={folder}", "mamba", "hilbert", PROTOCOL), seed=0))
        losses.append(record["test_loss"])
        folder.rename(tmp_path / form)
    assert losses[0] == losses[1]


def test_truncation_keeps_random_tiles_or_a_stretch_of_a_scan_and_is_recorded(made):
    whole = parse_task(f"wsi:root={made}")
    longest = int(whole.lengths.argmax())
    cells = whole.reader.read(whole.collection.bags[longest])[1].tolist()
    for keep in ("random", "hilbert"):
        task = parse_task(f"wsi:root={made},limit=25,keep={keep}")
        samples = task.sample("train", 100, 0)
        batch = samples.batch(np.arange(len(samples)))
        assert batch.tokens.shape[1] == task.longest == 25 and task.facts()["truncated"] > 5
        kept = task.slide(task.collection.bags[longest])[1]
        places = [cells.index(cell) for cell in kept.tolist()]
        assert places == sorted(places) and len(places) == 25 and places != list(range(25))
    steps = np.abs(np.diff(sorted(np.abs(kept - kept.mean(0)).sum(1))))
    assert len(steps) == 24
    with pytest.raises(UserError, match="keep must be random or a scan of one route"):
        parse_task(f"wsi:root={made},limit=25,keep=cross")


def test_bad_bags_are_one_line_and_exit_code_2_or_left_out(made, tmp_path, capsys):
    folder = tmp_path / "copy"
    main(["make-slides", str(folder), "--slides", "40", "--task", SMALL, "--quiet"])
    with h5py.File(bag(folder, "s03"), "a") as file:
        file["features"][2, 1] = np.nan
    bag(folder, "s05").write_bytes(b"nothing")
    words = ["run", "--arch", "identity", "--protocol", PROTOCOL, "--seeds", "1", "--no-timing", "--workers", "0"]
    words += ["--store", str(tmp_path / "r.sqlite"), "--quiet", "--format", "json", "--task", f"wsi:root={folder}"]
    capsys.readouterr()
    assert main(words) == 2
    message = capsys.readouterr().err
    assert "s05.h5, file: no whole HDF5 file" in message and "--skip-bad" in message and message.count("\n") == 1
    assert main([*words, "--skip-bad"]) == 0
    cell = cell_from(f"wsi:root={folder},skip_bad=true", "identity", "horizontal", PROTOCOL)
    left_out = execute(Run(cell=cell, seed=0))["data"]["left_out"]
    assert [(each["file"], each["key"]) for each in left_out] == [("s03.h5", "features"), ("s05.h5", "file")]


def test_features_that_are_not_finite_fail_a_run_in_one_line(tmp_path):
    main(["make-slides", str(tmp_path / "slides"), "--slides", "40", "--task", SMALL, "--quiet"])
    for path in (tmp_path / "slides").glob("h5_files/*.h5"):
        with h5py.File(path, "a") as file:
            file["features"][0, 0] = np.nan
    record = execute(Run(cell=cell_from(f"wsi:root={tmp_path}/slides", "identity", "horizontal", PROTOCOL), seed=0))
    assert record["status"] == "failed" and "values that are not finite" in record["reason"]


def test_memory_holds_a_part_and_what_is_kept_however_many_slides_there_are(tmp_path, monkeypatch):
    folder = tmp_path / "slides"
    task = "synthetic-slides:tiles=800,spread=1,dim=64,clusters=1,size=4"
    main(["make-slides", str(folder), "--slides", "60", "--task", task, "--quiet"])
    a_slide = 800 * (4 * 64 + 8)
    monkeypatch.setattr("harness.training.data.PART_CELLS", 1600)
    monkeypatch.setattr("harness.training.data.RENDERED_BYTES", 0)
    monkeypatch.setattr("harness.tasks.slides.collection.KEPT_BYTES", 4 * a_slide)
    spec = f"wsi:root={folder}"
    data = Data(parse_task(spec), spec=spec, seed=0)
    tracemalloc.start()
    for _ in range(2):
        for split in ("train", "validation", "test"):
            assert sum(len(target) for _, target, _ in data.evaluation(split, 100)) == len(data.task.parts[split])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 14 * a_slide  # 4 kept, a part of 2, the one before, and the two bags it is made from


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--slides", "3"], "--slides is from 4"),
        (["--seed", "-1"], "--seed is 0 or more"),
        (["--task", "locality2d"], "the task must draw slides"),
    ],
)
def test_a_mistake_in_make_slides_is_one_line(tmp_path, capsys, words, message):
    assert main(["make-slides", str(tmp_path / "new"), *words]) == 2
    assert message in capsys.readouterr().err
    (tmp_path / "something").touch()
    assert main(["make-slides", str(tmp_path)]) == 2
    assert "a new folder" in capsys.readouterr().err


def test_a_task_of_slides_writes_them_itself(tmp_path):
    task = parse_task(SMALL)
    made = task.write_slides(tmp_path / "slides", 12, format="trident", seed=1)
    labels = (tmp_path / "slides" / "labels.csv").read_text().splitlines()
    assert len(labels) == 13 and made.patients < 12 and made.tiles > 0 and made.bytes > 0
    assert len(list((tmp_path / "slides").rglob("*.h5"))) == 12


def test_a_missing_folder_or_table_is_one_line(tmp_path, made):
    with pytest.raises(UserError, match="root must be given"):
        parse_task("wsi")
    with pytest.raises(UserError, match="labels must be a CSV file"):
        parse_task(f"wsi:root={made},labels=other.csv")
