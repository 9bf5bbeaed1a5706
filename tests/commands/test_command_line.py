"""End to end through the real command line, in processes of their own."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import harness

TASK = "locality2d:height=4,width=4"
RUN = ["run", "--task", TASK, "--device", "cpu"]
FEW = [*RUN, "--scan", "hilbert", "random", "--arch", "gated-ssm", "mean-pool", "--seeds", "2"]


def command(*arguments, cwd, check=0, **more):
    result = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "200"},
        **more,
    )
    assert result.returncode == check, result.stderr
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a store of eight tiny runs and their timings, and what the command printed."""
    folder = tmp_path_factory.mktemp("finished")
    protocol = "standard:steps=4,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=8"
    return folder, command(*FEW, "--protocol", protocol, cwd=folder), [*FEW, "--protocol", protocol]


def test_run_prints_one_table_that_says_what_it_is(finished):
    _, result, _ = finished
    for words in (
        "one learning rate for all, untuned",
        "chance 0.500",
        "order-blind ceiling",
        "position-marginal ceiling",
        "test accuracy",
        "train tok/s",
        "(n=2)",
        "/gated quadratic",
        "underpowered at n=2",
    ):
        assert words in result.stdout
    assert "8 runs to do" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_same_command_answers_from_the_store_and_says_so(finished):
    folder, first, arguments = finished
    again = command(*arguments, cwd=folder)
    assert again.stdout == first.stdout  # speeds included: they are the stored session's
    assert "8 of 8 runs came from results.sqlite" in again.stderr
    assert "to do" not in again.stderr


def test_fresh_runs_again_and_gives_the_same_accuracies(finished):
    folder, _, arguments = finished
    before = harness.load(folder / "results.sqlite")
    command(*arguments, "--fresh", "--no-timing", "--workers", "1", cwd=folder)
    after = harness.load(folder / "results.sqlite").set_index("key").loc[before["key"]].reset_index()
    assert after["test_accuracy"].tolist() == before["test_accuracy"].tolist()
    assert after["test_loss"].tolist() == before["test_loss"].tolist()


def test_speeds_are_stored_apart_and_joined_when_loaded(finished):
    frame = harness.load(finished[0] / "results.sqlite")
    assert (frame["train_tokens_per_second"] > 0).all()
    assert (frame["forward_tokens_per_second"] > frame["train_tokens_per_second"]).all()
    assert (frame["peak_bytes"] > 0).all()
    assert (frame["relative_error"] < 1e-4).all()
    assert frame["kernel"].str.startswith("torch ").all()


def test_every_format_carries_the_same_numbers(finished):
    folder, _, arguments = finished
    (text,) = (command(*arguments, "--format", "json", "--quiet", cwd=folder).stdout,)
    cells = json.loads(text)["cells"]
    rows = list(csv.DictReader(io.StringIO(command(*arguments, "--format", "csv", "--quiet", cwd=folder).stdout)))
    assert [float(row["test_accuracy"]) for row in rows] == [cell["test_accuracy"] for cell in cells]
    markdown = command(*arguments, "--format", "markdown", "--quiet", cwd=folder)
    assert [line for line in markdown.stderr.splitlines() if not line.startswith("warning: ")] == []
    assert all(f"{cell['test_accuracy']:.3f}" in markdown.stdout for cell in cells)
    assert "| --- |" in markdown.stdout


def test_report_is_one_page_with_tables_and_pictures_that_are_there(finished):
    folder, _, _ = finished
    command("report", "results.sqlite", "-o", "report.md", cwd=folder)
    page = (folder / "report.md").read_text()
    pictures = [line.partition("](")[2].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert len(pictures) == 3
    for picture in pictures:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert "| gated-ssm | hilbert |" in page
    assert "8 done" in page


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("x.csv", pd.read_csv),
        ("x.jsonl", lambda path: pd.read_json(path, lines=True)),
        ("x.parquet", pd.read_parquet),
    ],
)
def test_export_writes_what_load_gives(finished, name, read):
    folder, _, _ = finished
    command("export", "results.sqlite", "-o", name, cwd=folder)
    assert read(folder / name)["test_accuracy"].tolist() == pytest.approx(
        harness.load(folder / "results.sqlite")["test_accuracy"].tolist()
    )


def test_rerun_gives_the_same_run_bit_for_bit(finished):
    folder, _, _ = finished
    key = harness.load(folder / "results.sqlite")["key"][0]
    result = command("rerun", key[:10], "--quiet", cwd=folder)
    assert "the same, bit for bit" in result.stdout


def test_show_gives_routes_as_json_lists(tmp_path):
    result = command("show", "snake.reversed", "--grid", "2x3", "--format", "json", cwd=tmp_path)
    facts = json.loads(result.stdout)
    assert facts["routes"] == [[3, 4, 5, 2, 1, 0]]
    assert facts["spec"] == "snake.reversed"
    several = json.loads(command("show", "cross", "--grid", "7x13", "--format", "json", cwd=tmp_path).stdout)
    assert [sorted(route) for route in several["routes"]] == [list(range(91))] * 4


@pytest.mark.parametrize("name", ["hilbert", "random", "locality2d", "majority", "mamba", "standard", "cross"])
def test_show_prints_a_card(tmp_path, name):
    picture = ["-o", "x.png"] if name in ("hilbert", "random", "locality2d", "majority", "cross") else []
    result = command("show", name, *picture, cwd=tmp_path)
    assert len(result.stdout.splitlines()) > 5
    if picture:
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_doctor_names_packages_devices_and_kernels(tmp_path):
    result = command("doctor", cwd=tmp_path)
    for words in ("torch", "mamba-ssm", "cuda", "gated-ssm", "error to the float64 reference"):
        assert words in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scan", "hilbrt"], "did you mean hilbert"),
        (["--scan", "window:size=two"], "size"),
        (["--scan", "horizontal+"], "'+'"),
        (["--scan", "hilbert.rotated"], "rotated"),
        (["--task", "locality2d:height"], "'height'"),
        (["--task", "locality2d:height=1"], "height"),
        (["--task", "locality:near=9,far=3"], "far"),
        (["--task", "majority:relevant=0.1,confusing=0.5"], "confusing"),
        (["--arch", "mamba:state=0"], "state"),
        (["--arch", "local-attention:window=8,window=9"], "window"),
        (["--arch", "global-attention:heads=5"], "heads"),
        (["--protocol", "paper2"], "paper2"),
        (["--protocol", "standard:learning_rate=-1"], "learning_rate"),
        (["--seeds", "none"], "--seeds"),
        (["--seeds", "-3"], "seeds"),
        (["--device", "cuda:9"], "device"),
        (["--workers", "-1"], "workers"),
        (["--replicas", "3", "--device", "cpu"], "one seed a core fills a CPU, got 3 with device cpu"),
        (["--cuda-graphs", "--device", "cpu"], "--cuda-graphs needs a CUDA GPU"),
        (["--store", "/no/such/folder/r.sqlite"], "/no/such/folder"),
        (["--plugin", "no_such_plugin"], "no_such_plugin"),
        (["--format", "xml"], "--format"),
        (["--frobnicate"], "--frobnicate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_one_line_and_exit_code_2(tmp_path, arguments, words):
    result = command(*RUN, *arguments, cwd=tmp_path, check=2)
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert words in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "nothing"],
        ["show", "hilbert", "--grid", "8"],
        ["show", "hilbert", "--grid", "0x4"],
        ["show", "peano", "--grid", "8x8"],
        ["report", "missing.sqlite"],
        ["export", "missing.sqlite", "-o", "x.csv"],
        ["export", "missing.sqlite", "-o", "x.xls"],
        ["rerun", "abc"],
        ["list", "animals"],
        [],
    ],
    ids=" ".join,
)
def test_every_other_command_answers_a_mistake_in_one_line_too(tmp_path, arguments):
    result = command(*arguments, cwd=tmp_path, check=2)
    assert len(result.stderr.strip().splitlines()) == 1


def test_it_works_from_a_folder_that_holds_foreign_folders_of_the_same_names(tmp_path):
    for name in ("tasks", "scans", "reports", "architectures"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('foreign')")
    result = command("list", cwd=tmp_path)
    assert "locality2d" in result.stdout
    assert "hilbert" in result.stdout


def test_help_and_list_do_not_import_what_is_slow(tmp_path):
    code = (
        "import sys; from harness.__main__ import main\n"
        "main(['list'])\n"
        "slow = {'torch', 'pandas', 'scipy', 'skimage', 'matplotlib', 'mamba_ssm', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {slow}' if slow else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_a_run_that_fails_gives_exit_code_1_and_an_unsupported_one_gives_0(tmp_path, tiny_protocol):
    (tmp_path / "broken.py").write_text(
        "from harness.contracts.mixer import Mixer\n"
        "from harness.registry import architectures\n"
        "@architectures.register('broken', version=1)\n"
        "def broken(*, width):\n"
        "    '''Always broken.'''\n"
        "    class Broken(Mixer):\n"
        "        def forward(self, x, mask=None, cells=None):\n"
        "            raise RuntimeError('broken as written')\n"
        "    return Broken()\n"
    )
    plugin = ["--plugin", "broken.py", "--protocol", tiny_protocol, "--seeds", "1", "--no-timing"]
    result = command(*RUN, *plugin, "--arch", "broken", "mean-pool", cwd=tmp_path, check=1)
    assert "broken as written" in result.stdout
    assert "mean-pool" in result.stdout
    assert "Traceback" not in result.stderr
    unsupported = command(*RUN, *plugin, "--arch", "mean-pool", "--scan", "peano", cwd=tmp_path)
    assert "unsupported" in unsupported.stdout


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="SIGKILL", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, id="SIGINT"),
    ],
)
def test_a_study_killed_in_mid_run_goes_on_from_what_had_finished(tmp_path, how):
    protocol = "standard:steps=60,validation_samples=16,test_samples=64,width=8,evaluate_every=30"
    arguments = [
        *RUN,
        "--scan",
        "hilbert",
        "--arch",
        "mean-pool",
        "--seeds",
        "8",
        "--protocol",
        protocol,
        "--no-timing",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run started in the background may ignore SIGINT, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[3/8]"):
            process.send_signal(how)
            break
    _, rest = process.communicate(timeout=60)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "goes on from there" in rest
        assert "Traceback" not in rest
    time.sleep(0.5)
    before = harness.load(tmp_path / "results.sqlite")
    assert len(before) >= 3
    result = command(*arguments, cwd=tmp_path)
    assert f"{len(before)} of 8 runs came from" in result.stderr
    after = harness.load(tmp_path / "results.sqlite")
    assert len(after) == 8
    kept = after.set_index("key").loc[before["key"]]
    assert kept["started_at"].tolist() == before["started_at"].tolist()


def test_two_processes_on_one_store_do_not_corrupt_it(tmp_path, tiny_protocol):
    arguments = [*FEW, "--protocol", tiny_protocol, "--no-timing", "--workers", "1", "--quiet"]
    processes = [
        subprocess.Popen([sys.executable, "-m", "harness", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    tables = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert tables[0] == tables[1]  # both made the same numbers
    assert len(harness.load(tmp_path / "results.sqlite")) == 8
