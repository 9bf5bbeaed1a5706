"""A stand-in for a GPU: pieces of made-up rows, and results as a card would have left them."""

import pytest

from harness.gpu.bench import Bench
from harness.gpu.pieces import Piece, Row
from harness.gpu.results import DONE, Result


@pytest.fixture
def bench():
    return Bench(device="cpu", small=True)


@pytest.fixture
def make_piece():
    """Makes a piece from a function of a bench; what is called is noted in `calls`."""

    def make(name, run=None, *, minutes=1.0, calls=None, modules=("harness.gpu.bench",)):
        def rows(bench):
            if calls is not None:
                calls.append(name)
            yield from run(bench) if run else [Row(case="one", passed=True, found="as it should be")]

        return Piece(name=name, title=f"title of {name}", minutes=minutes, run=rows, modules=modules)

    return make


@pytest.fixture
def result_of():
    """A result as a GPU would have left it."""

    def result(name, *rows, card="Made-up Card 80GB", **changes):
        facts = {"piece": name, "title": f"title of {name}", "device": "cuda", "card": card, "small": False}
        facts |= {"source": "s", "versions": {"torch": "2.13.0", "fla-core": None}, "commit": "abc", "status": DONE}
        return Result(
            **{**facts, "started_at": "2026-01-01T00:00:00+00:00", "seconds": 12.0, **changes}, rows=list(rows)
        )

    return result
