"""Tables from what `pytest tests/benchmarks --benchmark-only --benchmark-json=BENCH.json` left behind."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from harness.analysis.tolerances import NOISY_SPREAD, agrees
from harness.contracts.errors import UserError

from .text import markdown, span, table


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
    """Write a Markdown page with a table for each group; returns how many benchmarks it shows."""
    found = read_benchmarks(source)
    groups: dict[str, list[dict[str, Any]]] = {}
    for benchmark in found["benchmarks"]:
        groups.setdefault(benchmark.get("group") or "benchmarks", []).append(benchmark)
    machine = (found.get("machine_info") or {}).get("cpu", {}).get("brand_raw", "a machine that was not named")
    commit = found.get("commit_info") or {}
    state = f"commit {str(commit.get('id'))[:12]}{', changed since' if commit.get('dirty') else ''}"
    blocks = [
        "# Benchmarks",
        f"From `{source.name}`, {str(found.get('datetime'))[:10]}, {machine}, {state}.",
        "Medians with the distance between the quartiles; noisy: that distance is more than"
        f" {NOISY_SPREAD:.0%} of the median. Relative error: output/gradient against a plain float64 reference; a"
        " benchmark that is off it has no speed.",
    ]
    for group, benchmarks in groups.items():
        blocks += [f"## {group}", table([_row(benchmark) for benchmark in benchmarks])]
    path.write_text(markdown(blocks), encoding="utf-8")
    return len(found["benchmarks"])


def _row(benchmark: dict[str, Any]) -> dict[str, str]:
    stats, extra = benchmark["stats"], benchmark.get("extra_info") or {}
    median, spread = stats["median"], stats.get("iqr", 0.0)
    error, gradient = extra.get("relative_error"), extra.get("gradient_relative_error", math.nan)
    wrong = error is not None and not agrees(error, extra.get("gradient_relative_error", 0.0))
    noisy, speed = " noisy" * (spread > NOISY_SPREAD * median), extra.get("tokens_per_second")
    return {
        "name": benchmark.get("param") or benchmark["name"],
        "shape": " x ".join(map(str, extra.get("shape") or extra.get("grid") or [])),
        "ms": "" if wrong else f"{median * 1e3:.3g} ({spread * 1e3:.2g}){noisy}",
        "tokens/s": "no speed: off the reference" if wrong else "" if speed is None else f"{speed:,.0f}",
        "to bare": span(extra["ratio"], *extra.get("ratio_interval", (math.nan, math.nan))) if "ratio" in extra else "",
        "kernel": str(extra.get("kernel", "")),
        "relative error": "" if error is None else f"{error:.0e}/{gradient:.0e}",
    }
