"""Every recurrent mixer's training step against Mamba's: `pytest tests/benchmarks -k mixers --benchmark-only`.

The ratios are of one interleaved session and stand in the columns of extra information (and in --benchmark-json);
mixers.py prints them as a table, with more rounds and in the environment of the harness's workers.
"""

import functools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # a script beside this file, which is no package

from mixers import MIXERS, Session  # noqa: E402


@functools.cache
def session():
    return Session.of(MIXERS, (), rounds=5)


@pytest.mark.parametrize("name", MIXERS)
def test_mixers(benchmark, name):
    (row,) = (row for row in session().rows() if row["mixer"] == name)
    benchmark.group = "training step of a whole model, by mixer"
    benchmark.extra_info.update(row)
    benchmark.pedantic(session().ours[name].step, rounds=5, warmup_rounds=1)
