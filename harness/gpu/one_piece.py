"""One piece, done here, its rows written as they come; `python -m harness.gpu.one_piece NAME DEVICE SIZE FOLDER`."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import torch

from harness.training.execute import first_line

from .bench import Bench
from .catalogue import find_piece
from .pieces import Piece
from .results import DONE, FAILED, Result, begin, write

SMALL, FULL = "small", "full"


def do_piece(piece: Piece, bench: Bench, folder: Path) -> Result:
    """Run a piece to its end, whatever it raises, and return what is in its file by then."""
    folder.mkdir(parents=True, exist_ok=True)
    result, started = begin(piece, bench), time.perf_counter()
    if not bench.is_gpu:
        torch.set_num_threads(1)
    write(folder, result)
    try:
        with warnings.catch_warnings():
            if not bench.is_gpu:
                warnings.simplefilter("ignore", UserWarning)  # of what is slow there
            for row in piece.run(bench):
                result.rows.append(row)
                result.seconds = time.perf_counter() - started
                write(folder, result)
        result.status = DONE
    except Exception as error:
        result.status, result.reason = FAILED, first_line(error)
    result.seconds = time.perf_counter() - started
    write(folder, result)
    return result


def main(words: list[str]) -> int:
    """Do one piece; what went wrong is in its file."""
    name, device, size, folder = words
    do_piece(find_piece(name), Bench(device=device, small=size == SMALL), Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
