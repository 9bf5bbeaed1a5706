"""The pages in docs/ are what their records say: each is rendered again from the records in docs/records/."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import harness
from harness.__main__ import main
from harness.store.exchange import read_recorded
from harness.store.store import Store

from ..analysis.test_tables import timing
from ..store.test_exchange import record

ROOT = Path(harness.__file__).parents[1]
MANIFEST = tomllib.loads((ROOT / "docs" / "records" / "manifest.toml").read_text())
PAGES = MANIFEST.get("page", [])
GONE = "> The records behind this page are gone"


def drift(root: Path, entry: dict, folder: Path) -> str:
    """How a page differs from what its records give; empty where it does not. The working directory is `root`."""
    words = shlex.split(entry["render"])
    assert words[:3] == ["python", "-m", "harness"] and words[-2:] == ["-o", entry["page"]]
    fresh = folder / Path(entry["page"]).name
    assert main([*words[3:-1], str(fresh)]) == 0
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", fresh.read_text())
    missing = [name for name in pictures if not (root / entry["page"]).with_name(name).is_file()]
    if missing:
        return f"pictures are missing: {missing}"
    old, new = ((path.read_text().splitlines()) for path in (root / entry["page"], fresh))
    lines = [f"- {a}\n+ {b}" for a, b in zip(old, new, strict=False) if a != b]
    return "\n".join(lines) or ("" if len(old) == len(new) else f"{len(old)} lines, {len(new)} from the records")


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry["page"])
def test_a_page_is_what_its_records_say(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    runs, _ = read_recorded(Path(entry["records"]))
    assert runs, "no records"
    assert drift(ROOT, entry, tmp_path) == ""


def test_a_page_without_its_records_says_so():
    assert not {entry["page"] for entry in PAGES} & set(MANIFEST["gone"])
    for page in [*MANIFEST["gone"], *(entry["page"] for entry in PAGES)]:
        assert (ROOT / page).read_text().startswith(GONE) == (page in MANIFEST["gone"]), page
    listed = {Path(entry["records"]).name.removesuffix(".parquet") for entry in PAGES}
    found = {path.name.partition(".")[0] for path in (ROOT / "docs" / "records").glob("*.parquet")}
    assert found == listed  # no records that no page rests on


@pytest.fixture
def small_page(tmp_path, monkeypatch):
    """A page of four runs that has its records beside it, as docs/ would."""
    monkeypatch.chdir(tmp_path)
    facts = {"mean_validation_accuracy": 0.5, "steps_to_threshold": None, "steps": 4, "chance_accuracy": 0.5}
    facts |= {"curve": {"step": [0, 4], "validation_accuracy": [0.5, 0.6]}, "parameters": 7, "kernel": "torch"}
    runs = [record(seed, scan=scan, **facts) for scan in ("horizontal", "hilbert") for seed in (0, 1)]
    with Store("x.sqlite") as store:
        store.write_many(runs)
        store.write_timings([timing(runs[0], setting="x", step_samples=[1.0] * 9)])
    assert main(["export", "x.sqlite", "--tuning", "-o", "x.parquet"]) == 0
    entry = {"page": "x.md", "records": "x.parquet", "render": "python -m harness report x.parquet -o x.md"}
    assert main(["report", "x.parquet", "-o", "x.md"]) == 0
    return entry


def test_the_same_records_give_the_same_page_and_say_nothing_of_today(small_page, tmp_path):
    (tmp_path / "again").mkdir()
    assert drift(tmp_path, small_page, tmp_path / "again") == ""
    assert "stale" not in (tmp_path / "x.md").read_text()  # although no source of today has that hash
    assert main(["report", "x.sqlite", "-o", "s.md"]) == 0
    assert "stale" in (tmp_path / "s.md").read_text()


@pytest.mark.parametrize("change", ["page", "picture", "record"])
def test_a_page_or_a_record_that_was_changed_fails(small_page, tmp_path, capsys, change):
    (tmp_path / "again").mkdir()
    if change == "page":
        page = tmp_path / "x.md"
        page.write_text(page.read_text().replace("0.500", "0.700", 1))
        assert "+" in drift(tmp_path, small_page, tmp_path / "again")
    elif change == "picture":
        next(tmp_path.glob("x-1-*.png")).unlink()
        assert "pictures are missing" in drift(tmp_path, small_page, tmp_path / "again")
    else:
        assert main(["export", "x.sqlite", "-o", "x.jsonl"]) == 0
        lines = (tmp_path / "x.jsonl").read_text()
        (tmp_path / "x.jsonl").write_text(lines.replace('"test_accuracy": 0.5', '"test_accuracy": 5', 1))
        capsys.readouterr()
        assert main(["report", "x.jsonl", "-o", "y.md"]) == 2
        assert "x.jsonl row 1: field 'test_accuracy': 5; must be from 0 to 1" in capsys.readouterr().err
