"""Tables from what `pytest tests/benchmarks --benchmark-only --benchmark-json=BENCH.json` left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.checking import agrees
from harness.errors import UserError
from harness.tables import markdown_table
from harness.timing import NOISY_SPREAD


def read_benchmarks(path: Path) -> dict[str, Any]:
    """The content of a pytest-benchmark file.

    Raises:
        UserError: no such file, or another kind of file.
    """
    if not path.is_file():
        raise UserError(f"report: the file {str(path)!r} does not exist")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert all(float(benchmark["stats"]["median"]) > 0 and benchmark["name"] for benchmark in found["benchmarks"])
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(
            f"report: {str(path)!r} is not what pytest-benchmark writes ({type(error).__name__}: {error});"
            " make one with: python -m pytest tests/benchmarks --benchmark-only --benchmark-json=BENCH.json"
        ) from error
    if not found["benchmarks"]:
        raise UserError(f"report: {str(path)!r} holds no benchmarks")
    return found


def write_benchmarks(source: Path, path: Path) -> int:
    """Write a Markdown page with a table a group; returns how many benchmarks it shows."""
    found = read_benchmarks(source)
    groups: dict[str, list[dict[str, Any]]] = {}
    for benchmark in found["benchmarks"]:
        groups.setdefault(benchmark.get("group") or "benchmarks", []).append(benchmark)
    machine = (found.get("machine_info") or {}).get("cpu", {}).get("brand_raw", "a machine that was not named")
    commit = found.get("commit_info") or {}
    state = f"commit {str(commit.get('id'))[:12]}{', changed since' if commit.get('dirty') else ''}"
    lines = ["# Benchmarks", ""]
    lines += [f"From `{source.name}`, {str(found.get('datetime'))[:10]}, {machine}, {state}.", ""]
    lines += [
        "Medians with the distance between the quartiles; noisy: that distance is more than"
        f" {NOISY_SPREAD:.0%} of the median. Relative error: output/gradient against a plain float64 reference; a"
        " benchmark that is off it has no speed.",
        "",
    ]
    for group, benchmarks in groups.items():
        lines += [f"## {group}", "", markdown_table(_columns(benchmarks)), ""]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return len(found["benchmarks"])


def _columns(benchmarks: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Header to texts; what no benchmark of the group tells has no column."""
    columns = {
        "name": [benchmark.get("param") or benchmark["name"] for benchmark in benchmarks],
        "shape": [_shape(benchmark) for benchmark in benchmarks],
        "ms": [_milliseconds(benchmark) for benchmark in benchmarks],
        "tokens/s": [_speed(benchmark) for benchmark in benchmarks],
        "to bare": [_ratio(benchmark) for benchmark in benchmarks],
        "kernel": [str(_extra(benchmark).get("kernel", "")) for benchmark in benchmarks],
        "relative error": [_error(benchmark) for benchmark in benchmarks],
    }
    return {name: texts for name, texts in columns.items() if any(texts)}


def _extra(benchmark: dict[str, Any]) -> dict[str, Any]:
    return benchmark.get("extra_info") or {}


def _shape(benchmark: dict[str, Any]) -> str:
    extra = _extra(benchmark)
    return " x ".join(map(str, extra.get("shape") or extra.get("grid") or []))


def _is_wrong(benchmark: dict[str, Any]) -> bool:
    extra = _extra(benchmark)
    if "relative_error" not in extra:
        return False
    return not agrees(extra["relative_error"], extra.get("gradient_relative_error", 0.0))


def _milliseconds(benchmark: dict[str, Any]) -> str:
    if _is_wrong(benchmark):
        return ""
    median, spread = benchmark["stats"]["median"], benchmark["stats"].get("iqr", 0.0)
    noisy = " noisy" if spread > NOISY_SPREAD * median else ""
    return f"{median * 1e3:.3g} ({spread * 1e3:.2g}){noisy}"


def _speed(benchmark: dict[str, Any]) -> str:
    extra = _extra(benchmark)
    if _is_wrong(benchmark):
        return "no speed: off the reference"
    return f"{extra['tokens_per_second']:,.0f}" if "tokens_per_second" in extra else ""


def _ratio(benchmark: dict[str, Any]) -> str:
    extra = _extra(benchmark)
    if "ratio" not in extra:
        return ""
    low, high = extra.get("ratio_interval", (float("nan"), float("nan")))
    return f"{extra['ratio']:.3f} ({low:.3f} to {high:.3f})"


def _error(benchmark: dict[str, Any]) -> str:
    extra = _extra(benchmark)
    if "relative_error" not in extra:
        return ""
    return f"{extra['relative_error']:.0e}/{extra.get('gradient_relative_error', float('nan')):.0e}"
