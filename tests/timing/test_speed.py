import csv
import io
import json
import subprocess
import sys

import pytest
import torch

from harness.__main__ import main
from harness.analysis.growth import crossovers, growth_of, predicted, upper_part
from harness.analysis.tolerances import GRADIENT_TOLERANCE, OUTPUT_TOLERANCE, agrees
from harness.commands.speed import parse_lengths
from harness.contracts.errors import UserError, is_out_of_memory
from harness.contracts.mixer import Mixer
from harness.registry import architectures
from harness.reports.speed import costs_of, crossing_lines, crossings, draw, growths, render
from harness.store.store import Store
from harness.timing.checking import errors_on_prefix
from harness.timing.machine import machine_peaks
from harness.timing.memory import available_bytes
from harness.timing.speed import Sweep, speed_session

PLUGIN = '''
from harness.registry import architectures

def make(name, limit, behaviour):
    @architectures.register(name, version=1)
    def factory(*, width):
        """A mixer for a test of the sweep."""
        import torch
        from harness.contracts.mixer import Mixer

        class Test(Mixer):
            causal = True
            def forward(self, x, mask=None, cells=None):
                return behaviour(x) if x.shape[1] > limit else x * 1.5
            def reference(self, x, mask=None, cells=None):
                return x * 1.5
        return Test()

def breaks(x):
    raise ZeroDivisionError("broke here")

def out_of_memory(x):
    import torch
    return x + torch.empty(2**50)

def unsupported(x):
    from harness.contracts.errors import Unsupported
    raise Unsupported("no such kernel", "get one")

make("breaks", 16, breaks)
make("hungry", 16, out_of_memory)
make("missing", 16, unsupported)
make("wrong", 16, lambda x: x * 1.6)
make("plain", 16, lambda x: x * 1.5)
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    from harness.registry import load_plugin

    path = tmp_path_factory.mktemp("plugin") / "mixers_for_the_sweep.py"
    path.write_text(PLUGIN)
    load_plugin(str(path))
    yield str(path)
    for name in ("breaks", "hungry", "missing", "wrong", "plain"):
        del architectures._entries[name]


def swept(*names, **more):
    settings = {"lengths": (8, 16, 32), "width": 4, "rounds": 3, "memory_bytes": 2**30, **more}
    return speed_session(Sweep(architectures=tuple(architectures.canonical(name) for name in names), **settings))


def statuses(session, name):
    return [row["status"] for row in session["rows"] if row["architecture"].partition(":")[0] == name]


# The sweep's arithmetic.


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_growth_of_a_power_law_is_its_exponent_exactly(exponent):
    lengths = [2**power for power in range(6, 14)]
    growth = growth_of({length: 3e-6 * length**exponent for length in lengths})
    assert growth.exponent == pytest.approx(exponent, abs=1e-12)
    assert growth.high - growth.low < 1e-6
    assert (growth.shortest, growth.longest, growth.n) == (1024, 8192, 4)


def test_only_the_upper_part_of_a_sweep_decides_its_growth():
    costs = {length: max(1e-3, 1e-9 * length**2) for length in (64, 128, 256, 512, 1024, 2048, 4096, 8192)}
    assert growth_of(costs).exponent == pytest.approx(2.0, abs=0.01)
    assert upper_part([8, 4, 2]) == [2, 4, 8]
    assert upper_part([1, 2, 3, 4, 5, 6, 7]) == [4, 5, 6, 7]


def test_two_lengths_give_no_growth():
    assert growth_of({64: 1.0, 128: 2.0}) is None


def test_power_laws_cross_where_they_are_equal_and_the_faster_one_is_named():
    lengths = [2**power for power in range(3, 12)]
    costs = {"linear": {n: 100.0 * n for n in lengths}, "quadratic": {n: float(n * n) for n in lengths}}
    (found,) = crossovers("linear", "quadratic", costs)
    assert found.length == pytest.approx(100.0, rel=1e-12)
    assert (found.faster, found.slower) == ("linear", "quadratic")
    assert crossovers("quadratic", "linear", costs) == [found]


def test_equal_at_a_length_that_was_measured_is_the_crossing_itself():
    costs = {"a": {1: 1.0, 2: 2.0, 4: 3.0}, "b": {1: 2.0, 2: 2.0, 4: 2.0}}
    (found,) = crossovers("a", "b", costs)
    assert (found.length, found.faster) == (pytest.approx(2.0), "b")


@pytest.mark.parametrize(
    "b", [{1: 2.0, 2: 3.0, 4: 5.0}, {1: 2.0, 2: 2.0, 4: 5.0}, {8: 0.1}], ids=["apart", "touching", "nothing shared"]
)
def test_lines_that_never_change_places_do_not_cross(b):
    assert crossovers("a", "b", {"a": {1: 1.0, 2: 2.0, 4: 4.0}, "b": b}) == []


def test_lengths_that_noise_hides_decide_nothing():
    costs = {"a": {1: 1.0, 2: 2.1, 4: 3.9, 8: 8.0}, "b": {1: 2.0, 2: 2.0, 4: 4.0, 8: 9.0}}
    assert len(crossovers("a", "b", costs)) == 2
    assert crossovers("a", "b", costs, {2, 4}) == []


def test_a_prediction_follows_the_last_slope_between_linear_and_quadratic():
    assert predicted({}, 64) is None
    assert predicted({64: 1.0}, 256) == 4.0
    assert predicted({64: 1.0, 128: 4.0}, 256) == pytest.approx(16.0)
    assert predicted({64: 4.0, 128: 1.0}, 256) == 2.0
    assert predicted({64: 1.0, 128: 64.0}, 256) == pytest.approx(256.0)


# Checking on a prefix.


class Late(Mixer):
    """A causal running sum that can go wrong in one place."""

    causal = True

    def __init__(self, spoil=lambda y, x: y):
        super().__init__()
        self.spoil = spoil

    def forward(self, x, mask=None, cells=None):
        return self.spoil(x.cumsum(1), x)

    def reference(self, x, mask=None, cells=None):
        return x.cumsum(1)


@pytest.mark.parametrize(
    ("spoil", "right"),
    [
        (lambda y, x: y, True),
        (lambda y, x: torch.cat([y[:, :4] * 1.01, y[:, 4:]], dim=1), False),
        (lambda y, x: y + 0.01 * x.flip(1), False),
        (lambda y, x: y if y.dtype == torch.float64 else torch.cat([y[:, :30], y[:, 30:] * 1.01], dim=1), False),
    ],
    ids=["right", "wrong at the start", "looks ahead", "rounding late"],
)
def test_a_prefix_check_finds_what_is_wrong(spoil, right):
    x, cells = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 40, 2).long()
    assert agrees(*errors_on_prefix(Late(spoil), x, cells, steps=8)) is right


@pytest.mark.parametrize("name", ["gated-ssm", "mamba", "local-attention:window=3"])
def test_the_prefix_check_is_exact_for_the_projects_own_mixers(name):
    entry, values = architectures.parse(name)
    mixer = entry.create(values, width=8, length=128, grid=(8, 16), generator=torch.Generator().manual_seed(0))
    x, cells = torch.randn(1, 128, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 128, 2).long()
    output, gradient = errors_on_prefix(mixer, x, cells, steps=100, reach=getattr(mixer, "window", 0))
    assert output < OUTPUT_TOLERANCE / 10
    assert gradient < GRADIENT_TOLERANCE / 10


# Sessions.


def test_a_session_keeps_raw_samples_of_every_phase_and_checks_every_row():
    session = swept("gated-ssm", "local-attention", batch=2)
    assert statuses(session, "gated-ssm") == statuses(session, "local-attention") == ["timed"] * 3
    for row in session["rows"]:
        if row["architecture"] == "permutation":
            assert len(row["permutation_samples"]) == 3
            continue
        assert len(row["forward_samples"]) == len(row["training_samples"]) == 3
        assert row["train_tokens_per_second"] == 2 * row["length"] / row["training_seconds"]
        assert row["relative_error"] < OUTPUT_TOLERANCE
        assert row["check"] == "whole"
        assert row["kernel"].startswith("torch ")
        assert row["peak_bytes"] > 0


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("breaks", "failed", "ZeroDivisionError: broke here"),
        ("hungry", "out-of-memory", "allocate memory"),
        ("missing", "unsupported", "no such kernel; get one"),
    ],
)
def test_what_goes_wrong_ends_its_own_line_with_a_reason(plugin, name, status, reason):
    session = swept(name, "plain", lengths=(8, 16, 32, 64))
    assert statuses(session, name) == ["timed", "timed", status]
    assert statuses(session, "plain") == ["timed"] * 4
    (ended,) = [row for row in session["rows"] if row["architecture"] == name and row["status"] == status]
    assert reason in ended["reason"]
    assert f"{status}: " in render(session, form="table")


def test_a_wrong_output_gets_no_speed_at_that_length_only(plugin):
    session = swept("wrong", lengths=(8, 32))
    wrong = session["rows"][-1]
    assert statuses(session, "wrong") == ["timed", "wrong"]
    assert "forward_seconds" not in wrong
    assert "differ from the float64 reference by 6.7e-02/6.7e-02" in wrong["reason"]
    assert "wrong" not in costs_of(session, "training") or set(costs_of(session, "training")["wrong"]) == {8}


def test_a_sweep_in_bfloat16_says_so_and_is_held_to_that_formats_tolerance():
    names = ("local-attention:window=2", "gated-ssm")
    rows = {dtype: swept(*names, lengths=(16,), width=16, dtype=dtype)["rows"] for dtype in ("float32", "bfloat16")}
    for row in rows["bfloat16"]:
        assert (row["status"], row["dtype"]) == ("timed", "bfloat16")
        assert row["setting"].startswith("cpu bfloat16 ")
    for coarse, fine in zip(rows["bfloat16"][1:], rows["float32"][1:], strict=True):
        assert coarse["relative_error"] > 1e-4 > fine["relative_error"]


def test_a_line_ends_where_a_step_is_predicted_to_take_too_long():
    session = swept("gated-ssm", step_seconds=1e-9)
    assert statuses(session, "gated-ssm") == ["over-budget"]
    assert "over 1e-09 s" in session["rows"][1]["reason"]


def test_a_line_ends_where_memory_is_predicted_to_go_over_its_budget():
    session = swept("gated-ssm", memory_bytes=100)
    assert statuses(session, "gated-ssm") == ["timed", "over-budget"]
    assert "--memory" in session["rows"][-1 - 1]["reason"]


def test_beyond_the_reference_a_causal_or_windowed_mixer_is_checked_on_a_prefix_and_no_other_gets_a_speed():
    names = ("gated-ssm", "local-attention:window=2", "global-attention")
    session = swept(*names, lengths=(16, 32), check_steps=16)
    checks = {(row["architecture"].partition(":")[0], row["length"]): row for row in session["rows"]}
    for name in ("gated-ssm", "local-attention"):
        assert checks[name, 32]["check"] == "first 16; all in float64"
        assert checks[name, 32]["status"] == "timed"
    assert checks["global-attention", 16]["check"] == "whole"
    assert checks["global-attention", 32]["status"] == "unchecked"
    assert "--unchecked" in checks["global-attention", 32]["reason"]
    unchecked = swept("global-attention", lengths=(16, 32), check_steps=16, unchecked=True)["rows"][-1]
    assert unchecked["training_seconds"] > 0
    assert unchecked["check"].startswith("not checked: ")


# What is shown.


def made_up(costs):
    """A session of power laws: architecture to seconds by length."""
    rows = []
    for length in (64, 128, 256, 512, 1024, 2048):
        rows.append({"architecture": "permutation", "length": length, "status": "timed", "permutation_seconds": 1e-5})
        rows[-1] |= {"permutation_samples": [1e-5] * 3}
        for name, cost in costs.items():
            row = {"architecture": name, "length": length, "status": "timed", "reason": None, "speed_note": None}
            row |= {"kernel": "k", "check": "whole", "relative_error": 1e-7, "gradient_relative_error": 1e-7}
            row |= {"peak_bytes": 100 * length, "train_tokens_per_second": length / cost(length)}
            for phase in ("forward", "training"):
                row |= {f"{phase}_seconds": cost(length), f"{phase}_samples": [cost(length)] * 3}
            rows.append(row)
    settings = {"batch": 1, "width": 4, "rounds": 3, "step_seconds": 1.0, "memory_bytes": 2**30, "check_steps": 2048}
    where = {"dtype": "float32", "device": "cpu", "threads": 1, "machine": "made up", "torch_version": "0"}
    return {**where, "settings": settings, "rows": rows}


def test_the_report_says_growth_and_crossings_of_power_laws(tmp_path):
    session = made_up({"mamba": lambda n: 1e-6 * n, "mean-pool": lambda n: 2e-9 * n * n})
    assert growths(session)["training"]["mean-pool"].exponent == pytest.approx(2.0)
    assert growths(session)["memory"]["mamba"].exponent == pytest.approx(1.0)
    (pair,) = crossings(session)["forward"]
    assert pair[2][0].length == pytest.approx(500.0)
    text = render(session, form="table")
    assert "training 2.00 [2.00, 2.00] over 512 to 2,048" in text
    assert "forward, mamba and mean-pool: mamba below from 500 on" in text
    assert all(line.strip() for line in crossing_lines(session))
    assert draw(session, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_overlapping_quartiles_make_no_crossing():
    session = made_up({"mamba": lambda n: 1e-6 * n, "mean-pool": lambda n: 1.01e-6 * n ** (0.999 if n > 300 else 1.0)})
    for row in session["rows"]:
        for phase in ("forward", "training"):
            if f"{phase}_seconds" in row:
                row[f"{phase}_samples"] = [share * row[f"{phase}_seconds"] for share in (0.9, 1.0, 1.1)]
    assert crossings(session)["training"][0][2] == []
    assert "none above the noise" in render(session, form="markdown")


def test_nothing_timed_draws_nothing(tmp_path):
    session = made_up({})
    assert not draw(session, tmp_path / "speed.png")


def test_json_has_raw_samples_and_csv_the_same_medians():
    session = made_up({"mamba": lambda n: 1e-6 * n})
    found = json.loads(render(session, form="json"))
    rows = [row for row in found["rows"] if row["architecture"] == "mamba"]
    assert all(len(row["training_samples"]) == 3 for row in rows)
    assert found["growth"]["training"]["mamba"]["exponent"] == pytest.approx(1.0)
    flat = [row for row in csv.DictReader(io.StringIO(render(session, form="csv"))) if row["architecture"] == "mamba"]
    assert [float(row["training_seconds"]) for row in flat] == [row["training_seconds"] for row in rows]
    assert {row["samples"] for row in flat} == {"3"}


# The command.


def test_the_command_measures_in_a_worker_draws_prints_and_stores(tmp_path, plugin):
    names = ["gated-ssm", "mean-pool", "hungry"]
    command = ["speed", "--arch", *names, "--lengths", "8:32", "--width", "8", "--rounds", "3", "--format", "json"]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "harness",
            *command,
            "--plugin",
            plugin,
            "--quiet",
            "--store",
            "s.sqlite",
            "-o",
            "x.png",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    session = json.loads(result.stdout)
    assert statuses(session, "hungry") == ["timed", "timed", "out-of-memory"]
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with Store(tmp_path / "s.sqlite", create=False) as store:
        stored = store.timings()
    assert [row["setting"] for row in stored] == [row["setting"] for row in session["rows"]]
    assert stored[1]["training_samples"] == session["rows"][1]["training_samples"]


def test_a_failed_line_is_exit_code_1(tmp_path, plugin, monkeypatch, capsys):
    """And without -o no figure is drawn."""
    monkeypatch.chdir(tmp_path)
    arguments = ["speed", "--arch", "breaks", "--lengths", "8,32", "--width", "4", "--rounds", "3", "--plugin", plugin]
    assert main([*arguments, "--quiet"]) == 1
    assert "failed: breaks at length 32: ZeroDivisionError: broke here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lengths", "64-128"], "--lengths is FROM:TO"),
        (["--lengths", "65:100"], "with a power of two in it, got '65:100'"),
        (["--lengths", "128:64"], "got '128:64'"),
        (["--lengths", "1,64"], "each 2 to"),
        (["--lengths", "999999999"], "each 2 to"),
        (["--rounds", "2"], "--rounds is a whole number from 3"),
        (["--batch", "0"], "--batch is a whole number from 1"),
        (["--width", "x"], "--width is a whole number"),
        (["--step-seconds", "-1"], "--step-seconds is a positive number"),
        (["--memory", "nan"], "--memory is a positive number"),
        (["--arch", "mambo"], "did you mean mamba"),
        (["--arch", "local-attention:heads=5"], "heads must divide the width 32, got heads=5"),
        (["--device", "tpu"], "device is one of"),
        (["--dtype", "float16"], "--dtype is one of float32, tf32, bfloat16, got 'float16'"),
        (["--dtype", "tf32"], "--dtype tf32 is a format of CUDA's matrix units, got device cpu"),
        (["-o", "speed.pdf"], "speed draws a .png file"),
        (["-o", "nowhere/speed.png"], "the folder 'nowhere' does not exist"),
        (["--store", "."], "is a folder"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["speed", *arguments])
    except SystemExit as stop:  # argparse's own
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert words in error
    assert error.startswith("error: ") and error.count("\n") == 1


def test_lengths_are_powers_of_two_between_or_a_list_in_rising_order():
    assert parse_lengths("64:512") == (64, 128, 256, 512)
    assert parse_lengths("65:512") == (128, 256, 512)
    assert parse_lengths("400,64,100,64") == (64, 100, 400)
    with pytest.raises(UserError):
        parse_lengths("64,")


# The machine, and benchmarks as a report.


def test_the_machines_ceilings_are_numbers_of_a_machine_and_threads_stay():
    before = torch.get_num_threads()
    found = machine_peaks()
    assert 0.01 < found.product_gflops < 1e6
    assert 0.01 < found.copy_gigabytes < 1e5
    assert 1e-4 < found.exponential_giga < 1e4
    assert torch.get_num_threads() == before


def test_running_out_of_memory_is_told_from_other_failures():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("std::bad_alloc"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert available_bytes() > 2**20


def benchmark_file(path, **extra):
    benchmark = {"name": "test_mixer[mamba]", "param": "mamba", "group": "mixers", "extra_info": extra}
    benchmark["stats"] = {"median": 0.002, "iqr": 0.001}
    path.write_text(json.dumps({"benchmarks": [benchmark], "datetime": "2026-01-02T00:00:00", "machine_info": {}}))


def test_a_report_of_benchmarks_is_a_table(tmp_path):
    known = {"shape": [16, 256, 32], "tokens_per_second": 123456.7, "kernel": "torch 2/loop", "relative_error": 1e-7}
    benchmark_file(tmp_path / "bench.json", **known, gradient_relative_error=2e-7)
    assert main(["report", str(tmp_path / "bench.json"), "-o", str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text()
    assert "| name | shape | ms | tokens/s | kernel | relative error |" in page
    assert "| mamba | 16 x 256 x 32 | 2 (1) noisy | 123,457 | torch 2/loop | 1e-07/2e-07 |" in page


def test_a_benchmark_off_its_reference_is_reported_without_a_speed(tmp_path):
    benchmark_file(tmp_path / "bench.json", tokens_per_second=123456.7, relative_error=0.5)
    assert main(["report", str(tmp_path / "bench.json"), "-o", str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text()
    assert "no speed: off the reference" in page
    assert "123,457" not in page


@pytest.mark.parametrize("text", [None, "no json", "{}", '{"benchmarks": []}', '{"benchmarks": [{"name": "x"}]}'])
def test_what_is_no_benchmark_file_is_one_line_and_exit_code_2(tmp_path, capsys, text):
    path = tmp_path / "bench.json"
    if text is not None:
        path.write_text(text)
    assert main(["report", str(path), "-o", str(tmp_path / "page.md")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: report: ") and error.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's address space")
def test_a_limited_process_gets_an_error_where_memory_does_not_suffice():
    program = (
        "import torch; from harness.contracts.errors import is_out_of_memory\n"
        "from harness.timing.memory import limit_memory\n"
        "limit_memory(2**28); torch.ones(2**20)\n"
        "try:\n    torch.ones(2**28)\nexcept Exception as error:\n    print(is_out_of_memory(error))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert result.stdout == "True\n", result.stderr


def test_float32_is_full_float32_for_cudnn_too():
    from harness.training.precision import precision

    before = torch.backends.cudnn.allow_tf32
    with precision("float32", "cpu"):
        assert torch.backends.cudnn.allow_tf32 is False
        assert torch.get_float32_matmul_precision() == "highest"
    assert torch.backends.cudnn.allow_tf32 == before
