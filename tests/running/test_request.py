"""Requests: study files, what they mean, what is refused and how; printed as any form and read back; the command."""

import shlex
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from harness.__main__ import main, make_parser
from harness.commands.run import request_of
from harness.commands.study import READY, duration, path_of
from harness.contracts.errors import UserError
from harness.registry import architectures
from harness.running.execution import Execution
from harness.running.request import Decide, More, Request, Rule, Tune, request_from
from harness.running.request_text import (
    as_command,
    as_python,
    as_toml,
    read_study,
    request_from_python,
    request_from_toml,
)

SMALL = """
name = "small"
tasks = ["majority"]
architectures = ["mean-pool"]
"""
TINY = "standard:steps=4,batch_size=8,validation_samples=16,test_samples=32,evaluate_every=2,width=8"


def written(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", READY)
def test_the_studies_that_come_with_the_harness_are_sound(name):
    found = read_study(path_of(name))
    assert found.name == name and found.title
    assert found.cells() and found.study("cpu").seeds


def test_a_grid_is_every_combination_and_a_rule_takes_cells_away(tmp_path):
    found = read_study(
        written(
            tmp_path,
            """
            name = "grid"
            tasks = ["majority2d", { name = "locality2d", noise = [0.1, 0.3], count = [2, 3] }]
            architectures = ["mamba", { name = "local-attention", window = 2, causal = [true, false] }]
            scans = ["horizontal", "window:size=2.reversed"]
            exclude = [{ task = "majority2d", scan = "window*" }, { architecture = "mamba", task = "*count=2*" }]
            include = [{ task = "majority", architecture = "lstm" }]
            seeds = [3, 1]
            tune = { rates = [0.001, 0.01], seeds = 2 }
            """,
        )
    )
    cells = found.cells()
    tasks = {cell.task for cell in cells}
    assert len(tasks) == 6
    # 5 tasks x 3 architectures x 2 scans, less majority2d under windows (3) and mamba with count=2 (4), and one more.
    assert len(cells) == 30 - 3 - 4 + 1
    assert cells[-1].architecture.startswith("lstm") and cells[-1].scan == "horizontal"
    study = found.study("cpu")
    assert (
        list(study.seeds) == [3, 1]
        and list(study.rates) == [0.001, 0.01]
        and list(study.tuning_seeds)
        == [
            1_000_000,
            1_000_001,
        ]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["name: field required"]),
        ("name = 3\n" + SMALL.replace('name = "small"', ""), ["name: input should be a valid string, got 3"]),
        (SMALL.replace('"small"', '"Small one"'), ["name", "pattern", "got 'Small one'"]),
        (SMALL + "seeds = 0", ["seeds", "greater than or equal to 1", "got 0"]),
        (SMALL + "seeds = [1, 1]", ["seeds are different whole numbers from 0 to 999999", "[1, 1]"]),
        (SMALL + "seeds = 2.5", ["seeds", "2.5"]),
        (SMALL + "color = 1", ["color", "extra inputs are not permitted"]),
        (SMALL + "tune = { rates = [0.1] }", ["tune.rates", "at least 2 items", "got [0.1]"]),
        (SMALL + "tune = { rates = [0.1, -1.0] }", ["tune.rates", "above 0"]),
        (SMALL + "exclude = [{}]", ["exclude.0", "at least one of task"]),
        (SMALL + "exclude = [{ tasks = 'x' }]", ["exclude.0.tasks", "extra inputs"]),
        (SMALL + "exclude = [{ task = 'major*' }]", ["exclude leaves no cell"]),
        (SMALL + "primary = ['hilbert']", ["primary.1"]),
        (SMALL + "primary = ['hilbert', 'a b']", ["scan 'a b'"]),
        (SMALL + "executor = { workers = 0 }", ["executor.workers", "greater than or equal to 1"]),
        (SMALL + "executor = { kind = 'cloud' }", ["executor.kind", "'pool'", "got 'cloud'"]),
        (SMALL + "device = 'tpu'", ["device", "'auto', 'cpu' or 'cuda'"]),
        (SMALL.replace("majority", "minority"), ["task 'minority' is not known"]),
        (SMALL.replace('"majority"', "{ name = 'majority', noise = [0.1, 'x'] }"), ["noise is a finite number"]),
        (SMALL.replace('"majority"', "{ noise = 1 }"), ["tasks.0.name: field required"]),
        (SMALL.replace('["majority"]', "[]"), ["tasks", "at least 1 item"]),
        (SMALL + "plugins = ['no_such_module']", ["no_such_module"]),
        ("x = ", ["is no TOML"]),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(tmp_path, capsys, text, words):
    path = written(tmp_path, text)
    assert main(["study", "plan", str(path), "--no-probe"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert str(path) in err
    for word in words:
        assert word in err


def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path, capsys):
    assert main(["study", "run", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert main(["study", "plan", str(tmp_path / "binary.toml")]) == 2
    assert "no UTF-8 text" in capsys.readouterr().err


SCALARS = st.none() | st.booleans() | st.integers(-5, 2_000_000) | st.floats(allow_nan=True) | st.text(max_size=12)
ENTRIES = st.sampled_from(
    ["majority", "locality2d", "mamba", "mean-pool", "hilbert", "horizontal", "standard", "x:", "a,b"]
)
VALUES = st.recursive(
    SCALARS | ENTRIES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | ENTRIES, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*Request.model_fields, "color", ""])


def toml(value):
    """Enough of TOML for what hypothesis makes up."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(key))} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" if not 0xD800 <= ord(c) < 0xE000 else "?" for c in value) + '"'
    return "''" if value is None else str(value)


def refuses_or_reads(tmp_path_factory, changes):
    base = {"name": "small", "tasks": ["majority"], "architectures": ["mean-pool"]} | changes
    text = "\n".join(f"{toml(key)} = {toml(value)}" for key, value in base.items())
    path = written(tmp_path_factory.mktemp("fuzz"), text)
    tomllib.loads(text)
    try:
        found = read_study(path)
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) > len(str(path)) + 12
        return
    assert found.cells() and found.study("cpu").seeds


@given(changes=st.dictionaries(FIELDS, VALUES, min_size=1, max_size=3))
@settings(max_examples=150)
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(tmp_path_factory, changes):
    refuses_or_reads(tmp_path_factory, changes)


@pytest.mark.slow
@given(changes=st.dictionaries(FIELDS, VALUES, min_size=1, max_size=4))
@settings(max_examples=10_000)
def test_ten_thousand_files_are_read_or_refused_in_one_line(tmp_path_factory, changes):
    refuses_or_reads(tmp_path_factory, changes)


def test_a_study_is_planned_run_watched_resumed_and_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = f"""
    name = "tiny"
    tasks = ["locality2d:height=4,width=4"]
    architectures = ["gated-ssm", "mean-pool"]
    scans = ["snake", "hilbert"]
    protocols = ["{TINY}"]
    seeds = 2
    tune = {{ rates = [0.001, 0.01], seeds = 1 }}
    primary = ["snake", "hilbert"]
    timing = false
    executor = {{ kind = "in-process" }}
    """
    written(tmp_path, text)

    def said(*arguments):
        code = main(["study", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    code, out, _ = said("plan", "study.toml")
    assert code == 0 and "4 cells (1 tasks, 2 architectures, 2 scans, 1 protocols)" in out
    assert "8 tuning runs, 8 final runs on cpu" in out and "MiB" in out and "of processor time" in out
    code, out, _ = said("status", "study.toml")
    assert code == 0 and "tiny.sqlite does not exist" in out and "study run study.toml" in out
    code, out, err = said("run", "study.toml")
    assert code == 0 and "snake against hilbert (declared beforehand" in out and "8 tuning runs to do" in err
    code, again, err = said("run", "study.toml")
    assert code == 0 and again == out and "to do" not in err
    code, out, _ = said("status", "study.toml")
    assert "8 of 8 tuning runs: 8 done" in out and "8 of 8 runs: 8 done" in out and "go on" not in out
    code, out, _ = said("watch", "study.toml", "--every", "0.1")
    assert code == 0 and out.count("\n") == 1
    assert len(harness.load("tiny.sqlite")) == 8
    code, _, err = said("report", "study.toml")
    assert code == 0 and "tiny.md with" in err and "snake against hilbert" in (tmp_path / "tiny.md").read_text()


def from_command(text):
    words = shlex.split(text)
    assert words[:4] == ["python", "-m", "harness", "run"]
    return request_of(make_parser("run").parse_args(words[3:]))


def from_python(text):
    asked = eval(text, {"harness": type("harness", (), {"run": staticmethod(lambda **asked: asked)})})
    return request_from_python(asked)


def holds_in_every_form(request):
    assert request_from_toml(as_toml(request)) == request
    assert from_command(as_command(request)) == request
    assert from_python(as_python(request)) == request


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
WORDS = TEXTS.filter(lambda text: not text.startswith("-"))
SPEC_LISTS = st.lists(WORDS, min_size=1, max_size=3).map(tuple)
RATES = st.lists(st.floats(1e-6, 10), min_size=2, max_size=3, unique=True).map(tuple)
EXECUTORS = st.builds(
    Execution, workers=st.none() | st.integers(1, 9), replicas=st.integers(1, 9), cuda_graphs=st.booleans(),
    time_limit=st.none() | st.floats(0.1, 1e6), memory_limit=st.none() | st.floats(0.1, 100),
) | st.builds(
    Execution, kind=st.just("ray"), address=st.sampled_from(["local", "auto", "there:6379"]),
    cpus=st.floats(0.1, 8), gpus=st.floats(0, 8),
)  # fmt: skip
REQUESTS = st.builds(
    Request,
    name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True),
    title=TEXTS | st.just(""),
    tasks=SPEC_LISTS, architectures=SPEC_LISTS, scans=SPEC_LISTS, protocols=SPEC_LISTS,
    include=st.lists(st.builds(More, task=TEXTS, architecture=TEXTS, scan=TEXTS), max_size=2).map(tuple),
    exclude=st.lists(st.builds(Rule, scan=TEXTS.filter(lambda text: text != "*")), max_size=2).map(tuple),
    seeds=st.integers(1, 20) | st.lists(st.integers(0, 999_999), min_size=1, max_size=4, unique=True).map(tuple),
    tune=st.booleans() | st.builds(
        Tune, rates=st.none() | RATES, seeds=st.integers(1, 5), extend=st.booleans(), halving=st.booleans()
    ),
    decide=st.booleans() | st.builds(
        Decide, margin=st.floats(0.001, 0.5), alpha=st.floats(0.001, 0.5), max_seeds=st.integers(1, 99),
        by=st.none() | st.sampled_from(["scan", "protocol"]), budget=st.none() | st.sampled_from(["90s", "1.5h"]),
    ),
    primary=st.tuples(WORDS, WORDS),
    device=st.sampled_from(["auto", "cpu", "cuda"]), dtype=st.sampled_from(["float32", "tf32", "bfloat16"]),
    timing=st.booleans(), overwrite=st.booleans(), store=st.none() | TEXTS,
    plugins=st.lists(TEXTS, max_size=2).map(tuple), loggers=st.lists(TEXTS, max_size=2).map(tuple),
    executor=EXECUTORS,
)  # fmt: skip


@given(request=REQUESTS)
@settings(max_examples=200)
def test_a_request_prints_as_a_command_as_python_and_as_a_study_file_and_each_reads_back_as_it(request):
    holds_in_every_form(request)


def test_a_request_of_nothing_but_defaults_is_short_in_every_form():
    request = request_from({})
    holds_in_every_form(request)
    assert as_command(request) == "python -m harness run" and as_python(request) == "harness.run(\n)"
    assert request.store_path == "results.sqlite" and request.seed_list == [0, 1, 2]


def test_a_request_cannot_be_changed_but_gives_a_changed_one():
    request = request_from({"seeds": [4]})
    with pytest.raises(ValueError, match="frozen"):
        request.seeds = 3  # pyright: ignore[reportAttributeAccessIssue]
    assert request.changed(store="x.sqlite", loggers=None) == request_from({"seeds": [4], "store": "x.sqlite"})
    assert hash(request) == hash(request_from({"seeds": (4,)}))


def test_the_command_prints_what_it_would_run_and_runs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rules = "tune = { rates = [0.1, 0.2] }\nexclude = [{ scan = 'hilbert', task = 'majority' }]"
    path = written(tmp_path, SMALL + rules)
    more = ["--fresh", "--workers", "0", "--sink", "mlflow:x"]  # --overwrite and --logger by their old names
    assert main(["study", "run", str(path), "--print", "command", *more]) == 0
    command = capsys.readouterr().out
    assert from_command(command) == read_study(path).changed(
        overwrite=True, loggers=["mlflow:x"], executor=Execution(kind="in-process")
    )
    assert main([*shlex.split(command)[3:], "--print", "toml"]) == 0
    assert request_from_toml(capsys.readouterr().out) == from_command(command)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tune", "{rates=[0.1]}"], "tune.rates: tuple should have at least 2 items"),
        (["--tune", "0.1"], "--tune takes a table as a study file has it"),
        (["--decide", "{margin=0.0}"], "decide.margin: input should be greater than 0"),
        (["--decide", "{budget='2 h'}"], "decide.budget: string should match pattern"),
        (["--decide"], "decide compares scans, architectures or protocols, got one of each"),
        (["--exclude", "{}"], "exclude.0: at least one of task"),
        (["--exclude", "x } y"], "--exclude takes a table"),
        (["--include", "{task='majority'}"], "include.0.architecture: field required"),
        (["--seeds", "0"], "--seeds is a count from 1 to 100000"),
        (["--seeds", "3,,4"], "--seeds is a count"),
        (["--seeds", "1000000,"], "seeds are different whole numbers from 0 to 999999"),
        (["--dtype", "float16"], "dtype: input should be 'float32', 'tf32' or 'bfloat16', got 'float16'"),
        (["--name", "A B"], "name: string should match pattern"),
        (["--primary", "hilbert", "hilbrt"], "did you mean hilbert"),
        (["--store", ""], "store: string should have at least 1 character"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_request_cannot_be_is_one_line_on_the_command_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--task", "majority", "--arch", "mean-pool", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err
    assert list(tmp_path.iterdir()) == []


def test_without_a_store_the_advice_names_the_file_that_was_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "always_broken.py").write_text(
        "from harness.registry import architectures\n"
        "@architectures.register('always-broken', version=1)\n"
        "def always_broken(*, width):\n"
        "    '''Always broken.'''\n"
        "    raise RuntimeError('as written')\n"
    )
    text = SMALL.replace("mean-pool", "always-broken") + (
        f"protocols = ['{TINY}']\nplugins = ['always_broken.py']\nexecutor = {{ kind = 'in-process' }}\nseeds = 1"
    )
    assert main(["study", "run", str(written(tmp_path, text)), "--quiet"]) == 1
    err = capsys.readouterr().err
    assert "--store small.sqlite)" in err and "None" not in err
    architectures._entries.pop("always-broken")


def test_durations_read_well():
    assert [duration(s) for s in (3.14159, 45, 600, 7200)] == ["3.14 s", "45 s", "10 min", "2.0 h"]
