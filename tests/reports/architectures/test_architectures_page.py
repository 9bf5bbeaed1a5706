import pytest

from harness.registry import architectures
from harness.reports.architectures import recall, study, summary
from harness.reports.architectures.page import places_listed, write_page
from harness.reports.places import rankings_of
from harness.reports.rates import Trials


def places_of(records, timings=()):
    records = list(records)
    return places_listed(records, timings)[0]


@pytest.fixture(scope="module")
def page(winner, timings, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.md"
    pictures = write_page(winner, timings, path, store="s.sqlite", command="python -m harness architectures report")
    return path.read_text(), pictures


def test_the_study_has_every_architecture_that_was_here_when_it_was_run():
    here = {name for name in architectures.names() if architectures.get(name).module.startswith("harness.")}
    named = {text.partition(":")[0] for text in study.ARCHITECTURES}
    assert named <= here
    # The control of whole-slide images, for which mean-pool stands here, and what came after the study's records.
    assert here - named <= {"identity", "deltanet", "h3", "hyena"}


def test_places_come_as_the_study_lists_them(winner, timings):
    places = places_of(reversed(winner), timings)
    assert [(place.task, place.beside) for place in places[2:4]] == [
        (places[2].task, "horizontal"), (places[3].task, "hilbert"),
    ]  # fmt: skip
    assert len(places) == len(study.PLACES) and not places_listed(winner, timings)[1]
    assert [place.name for place in places][2:4] == ["locality2d, horizontal", "locality2d, hilbert"]
    assert "horizontal" not in places[0].name  # one row of cells: no scan to name
    assert places[0].rows[0].architecture.startswith("gated-ssm")


def test_the_first_screen_names_the_winner(page):
    text = page[0]
    first = text.partition("## Place by place")[0]
    assert "**Which architecture?** majority:" in first.partition("![")[0] and ": **mamba**" in first
    assert "| mamba | **" in first
    assert "| mean-pool | **" not in first
    # twice as fast as mamba, in the median over places
    assert next(line for line in first.splitlines() if line.startswith("| lstm")).split("|")[8].strip() == "2.00"
    assert "**Not significantly above chance**" in first and "mean-pool" in first
    assert "significant (paired t, Holm): none" in first
    assert "Mean rank over 6 places, of 5 (no test): mamba 1.0, lstm 2.0" in first


def test_every_section_has_its_picture(page):
    text, pictures = page
    names = {picture.name for picture in pictures}
    assert {"page-accuracy.png", "page-ranks.png", "page-state.png", "page-rates.png"} <= names
    assert sum(name.endswith("-front.png") for name in names) == len(study.PLACES)
    assert all(f"]({name})" in text and picture.stat().st_size > 3000 for name, picture in zip(
        (p.name for p in pictures), pictures, strict=True))  # fmt: skip


def test_a_scan_that_matters_is_named_by_architecture(make_study):
    rows = [place for place in study.PLACES if place[0] == "locality2d"]
    records = make_study({"mamba": 0.6, "lstm": 0.6}, places=rows[:1]) + make_study(
        {"mamba": 0.9, "lstm": 0.6}, places=rows[1:]
    )
    places = places_of(records, [])
    text = next(
        s for s in summary.sentences_of(places, rankings_of(places), Trials(records)) if s.startswith("**Hilbert")
    )
    assert "mamba +0.3" in text and "lstm" not in text


def test_recall_follows_the_state_where_it_does(make_study):
    place = [place for place in study.PLACES if place[0].startswith("associative-recall")]
    levels = {"gru": 0.3, "lstm": 0.5, "gated-ssm": 0.7, "mamba": 0.9, "local-attention": 0.2}
    found = recall.correlation_of(places_of(make_study(levels, places=place), [])[0])
    assert found is not None
    assert found.rho == pytest.approx(1.0) and found.orders == 4  # attention has no state to be ranked by


def test_a_diverged_run_counts_as_chance_and_a_lost_one_not_at_all(make_study):
    records = make_study(places=study.PLACES[:1])
    for record in records:
        if record["architecture"].startswith("mamba") and record["seed"] == 0:
            record.update(status="diverged", reason="loss nan at step 3", test_accuracy=None, steps_to_threshold=None)
        if record["architecture"].startswith("lstm") and record["seed"] == 1:
            record.update(status="failed", reason="worker died", test_accuracy=None, steps_to_threshold=None)
    ranking = rankings_of(places_of(records, []))[0]
    assert ranking.n == 4
    mamba = next(i for i, name in enumerate(ranking.names) if name.startswith("mamba"))
    assert ranking.means[mamba] == pytest.approx((0.5 + 3 * 0.9) / 4, abs=0.02)


def test_other_settings_stand_apart(make_study, tmp_path):
    more = [("locality2d", "horizontal", f"{study.PROTOCOL},match=parameters")]
    path = tmp_path / "p.md"
    write_page(make_study() + make_study(places=more), [], path, store="s", command="c")
    text = path.read_text()
    assert "## Under another setting: standard:steps=300,match=parameters, cpu, float32" in text
    assert text.count("no size of the study has just these cells") == 1
