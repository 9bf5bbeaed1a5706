import pytest
import torch

from harness.analysis.tolerances import GRADIENT_TOLERANCE, OUTPUT_TOLERANCE
from harness.contracts.mixer import Mixer
from harness.registry.cells import cell_from
from harness.timing.checking import errors_against_reference
from harness.timing.measure import timing_session
from harness.timing.memory import peak_bytes
from harness.timing.sampling import spread

TINY = "standard:steps=4,batch_size=8,width=8"


class Slightly(Mixer):
    """The identity, off by a share of it."""

    def __init__(self, output: float, gradient: float):
        super().__init__()
        self.output, self.gradient = output, gradient

    def forward(self, x, mask=None, cells=None):
        shifted = x * (1 + self.output)
        return shifted + self.gradient * (x - x.detach())

    def reference(self, x, mask=None, cells=None):
        return x.clone()


@pytest.mark.parametrize(("output", "gradient"), [(0.0, 0.0), (1e-2, 0.0), (0.0, 1e-2)])
def test_what_differs_from_the_reference_is_measured_in_output_and_gradient(output, gradient):
    found = errors_against_reference(Slightly(output, gradient), torch.randn(6, 5, 4), torch.zeros(1, 5, 2).long())
    assert (found[0] > OUTPUT_TOLERANCE) == (output > 0)
    assert (found[1] > GRADIENT_TOLERANCE) == (output + gradient > 0)


def test_peak_bytes_counts_what_lives_at_once_and_not_what_lived_before():
    kept = torch.zeros(10_000)

    def run():
        first = kept + 1
        second = first * 2  # two of 40,000 bytes alive
        del first
        return second + 1  # and again two

    assert peak_bytes(run, "cpu") == pytest.approx(80_000, rel=0.01)


def test_spread_is_the_interquartile_range_over_the_median():
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)


def test_a_session_times_every_cell_with_raw_samples_and_phases_apart():
    cells = [
        cell_from("locality2d:height=4,width=4", name, scan, TINY)
        for name in ("mamba", "mean-pool")
        for scan in ("hilbert", "cross")
    ]
    rows = timing_session(cells, rounds=3)
    assert [row["cell"] for row in rows] == [cell.key for cell in cells]
    assert len({row["session"] for row in rows}) == 1
    for row in rows:
        for phase in ("permutation", "mixer", "forward", "step"):
            assert len(row[f"{phase}_samples"]) == 3
        assert row["train_tokens_per_second"] == 8 * 16 / row["step_seconds"]
        assert row["forward_seconds"] < row["step_seconds"]
        assert row["routes"] in (1, 4)


def test_a_cell_that_cannot_run_here_is_left_out_of_the_session():
    cells = [cell_from("locality2d:height=4,width=4", "mean-pool", scan, TINY) for scan in ("hilbert", "peano")]
    assert len(timing_session(cells, rounds=2)) == 1


def test_a_wrong_output_gets_no_speed(monkeypatch):
    import harness.timing.measure as measure

    monkeypatch.setattr(measure, "errors_against_reference", lambda *_: (float("nan"), 0.0))
    (row,) = timing_session([cell_from("locality2d:height=4,width=4", "mean-pool", "hilbert", TINY)], rounds=2)
    assert "step_seconds" not in row
    assert "train_tokens_per_second" not in row
    assert "no speed" in row["speed_note"]
