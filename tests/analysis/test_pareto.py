"""The Pareto front by hand, with intervals that decide and intervals that do not; the picture and table of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.pareto import Dominance, Estimate, ParetoPoint, front_of, points_of
from harness.analysis.summary import rows_of
from harness.analysis.tables import standing_text
from harness.reports.page import Page
from harness.reports.pareto import draw_front, front_columns, section

from .test_tables import records, timing


def point(name, accuracy, throughput, *, half=0.01, share=0.05):
    return ParetoPoint(
        architecture=name,
        scan="hilbert",
        accuracy=Estimate(value=accuracy, low=accuracy - half, high=accuracy + half),
        throughput=Estimate(value=throughput, low=throughput * (1 - share), high=throughput * (1 + share)),
    )


def verdicts(points):
    return {standing.point.architecture: (standing.on_front, standing.verdict) for standing in front_of(points)}


def test_intervals_that_lie_apart_decide():
    points = [point("slow", 0.9, 100), point("fast", 0.6, 1000), point("beaten", 0.5, 500), point("middle", 0.8, 400)]
    assert verdicts(points) == {
        "slow": (True, Dominance.ON_FRONT),
        "fast": (True, Dominance.ON_FRONT),
        "beaten": (False, Dominance.DOMINATED),
        "middle": (True, Dominance.ON_FRONT),
    }
    (beaten,) = (standing for standing in front_of(points) if standing.verdict is Dominance.DOMINATED)
    assert [above.architecture for above in beaten.dominated_by] == ["fast"]


@pytest.mark.parametrize(("half", "share"), [(0.2, 0.05), (0.01, 0.6)], ids=["accuracy", "throughput"])
def test_one_interval_that_overlaps_leaves_it_undecided_whatever_the_point_estimates_say(half, share):
    points = [point("better", 0.8, 1000, half=half, share=share), point("worse", 0.7, 500, half=half, share=share)]
    assert verdicts(points)["worse"] == (False, Dominance.UNDECIDED)
    assert "behind it by point estimates" in standing_text(front_of(points)[1])


def test_a_cell_without_an_interval_decides_nothing_and_is_dominated_by_none():
    bare = ParetoPoint(architecture="bare", scan="s", accuracy=Estimate(value=0.1), throughput=Estimate(value=1.0))
    assert verdicts([point("better", 0.8, 1000), bare]) == {
        "better": (True, Dominance.UNDECIDED),
        "bare": (False, Dominance.UNDECIDED),
    }


def test_alike_cells_stand_on_the_front_together_and_one_alone_does():
    assert verdicts([point("a", 0.8, 100), point("b", 0.8, 100)]) == {
        "a": (True, Dominance.UNDECIDED),
        "b": (True, Dominance.UNDECIDED),
    }
    assert verdicts([point("a", 0.8, 100)]) == {"a": (True, Dominance.ON_FRONT)}
    assert front_of([]) == []


numbers = st.tuples(st.floats(0, 1), st.floats(1, 1e6), st.floats(0, 0.3), st.floats(0, 0.9))


@given(st.lists(numbers, min_size=1, max_size=12))
def test_sure_verdicts_never_contradict_the_point_estimates(drawn):
    points = [point(str(i), a, t, half=half, share=share) for i, (a, t, half, share) in enumerate(drawn)]
    standings = front_of(points)
    assert any(standing.on_front for standing in standings)
    for standing in standings:
        if standing.verdict is not Dominance.UNDECIDED:
            assert standing.on_front == (standing.verdict is Dominance.ON_FRONT)
        assert standing.on_front == (not any(other.dominates(standing.point) for other in points))
        assert bool(standing.dominated_by) == (standing.verdict is Dominance.DOMINATED)


SAMPLES = [0.9, 0.95, 0.97, 0.99, 1.0, 1.01, 1.04, 1.1, 2.0]


def timed(name, scores, *, speed=1000.0, session="1", samples=SAMPLES):
    made = records(name, scores=scores)
    return made, timing(made[0], session, train_tokens_per_second=speed, step_samples=list(samples))


def rows_from(*cells):
    return rows_of([record for made, _ in cells for record in made], [row for _, row in cells])


def test_points_come_from_the_session_that_timed_most_cells_and_leave_stale_ones_out():
    cells = [timed("mean-pool", (0.5, 0.52)), timed("gated-ssm", (0.7, 0.8)), timed("mamba", (0.9, 0.9), session="2")]
    stale = timed("gru", (0.6, 0.6))
    for record in stale[0]:
        record["source"] = "another"
    points = points_of(rows_from(*cells, stale))
    assert [p.architecture.partition(":")[0] for p in points] == ["mean-pool", "gated-ssm"]


def test_throughput_has_the_distribution_free_interval_of_its_median_time():
    (found,) = points_of(rows_from(timed("mean-pool", (0.5, 0.52), speed=1000.0)))
    assert found.throughput.value == 1000.0
    assert found.throughput.low == pytest.approx(1000 / 1.1)  # second slowest of nine
    assert found.throughput.high == pytest.approx(1000 / 0.95)
    (few,) = points_of(rows_from(timed("mean-pool", (0.5, 0.52), samples=SAMPLES[:5])))
    assert few.throughput.value == 1000.0 and math.isnan(few.throughput.low)


def empty_page(folder):
    return Page(path=folder / "p.md", title="A page", store="s.sqlite", records=[], commands=[])


def test_the_section_shows_a_picture_and_a_table_and_counts_what_is_left_out(tmp_path):
    cells = [
        timed("mean-pool", (0.50, 0.505, 0.5), speed=9000.0),
        timed("gated-ssm", (0.80, 0.81, 0.8), speed=3000.0),
        timed("gru", (0.70, 0.71, 0.7), speed=1000.0),
        timed("mamba", (0.9, 0.91, 0.9), session="2"),
    ]
    rows = rows_from(*cells)
    page = "\n\n".join(section(empty_page(tmp_path), "x", rows))
    assert (tmp_path / "p-x.png").read_bytes().startswith(b"\x89PNG")
    assert "![training speed](p-x.png)" in page and "Left out: 1 cell without a speed of this timing session" in page
    assert "mamba" not in page
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == ["mean-pool", "gated-ssm", "gru"]
    assert lines[2].endswith("| on the front |") and lines[4].endswith("| dominated; below gated-ssm hilbert |")
    assert "9,000 [8,182, 9,474]" in lines[2]


def test_nothing_timed_gives_no_section_and_one_cell_a_picture_alone(tmp_path):
    page = empty_page(tmp_path)
    assert section(page, "x", rows_of(records(), [])) == []
    assert draw_front([]) is None and not page.pictures
    lines = section(page, "x", rows_from(timed("mean-pool", (0.5,))))
    assert lines == ["![training speed](p-x.png)"]


def test_a_table_of_inference_says_so():
    columns = front_columns(front_of([point("gated-ssm", 0.8, 1000)]), phase="forward")
    assert columns["inference tok/s"] == ["1,000 [950, 1,050]"]
