"""What the C++ scan's training takes at least on this machine, and how near it comes.

    python tests/benchmarks/side_by_side.py --scan 8x256x64x16    # prints it below the table

The floor counts what selective_scan.cpp does for each vector of channels, step and state. Forward 13 operations: 10 for
the power of two (3 to split the exponent, 5 for the polynomial, 2 to put the whole part into the result's bits), 2 for
the state, 1 for the output. Backward the 13 again, since states are not kept, and 8 for the gradients of the state, of
what it was before, of A, B, C, delta and u. Each is taken to last as long as a fused multiply-add from registers, which
is measured in turn with the scan. Bytes are what has to come from memory and go there once, at the rate of a large
copy. The larger of the two times is the floor.
"""

from __future__ import annotations

import ctypes
import functools
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from harness.contracts import compiled as cpp_library
from harness.timing.machine import machine_peaks
from harness.timing.sampling import seconds_of

FORWARD, BACKWARD = 13, 21
"""Vector operations for each vector of channels, step and state."""

FLOAT_BYTES, CHUNK = 4, 32
ROUNDS = 100_000


@functools.cache
def probe() -> ctypes.CDLL | None:
    """The compiled probe, or None without a compiler."""
    library = cpp_library.load(Path(__file__).with_name("vector_rate.cpp"))
    if library is not None:
        library.multiply_add.argtypes, library.multiply_add.restype = [ctypes.c_int64], ctypes.c_double
        library.vector_floats.restype = library.operations_a_round.restype = ctypes.c_int64
    return library


@dataclass
class Floor:
    """The floor of one shape, sampled in turn with what is compared with it."""

    batch: int
    length: int
    channels: int
    state: int
    operation_seconds: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Measure the rate of vector operations once more."""
        library = probe()
        assert library is not None
        seconds = seconds_of(lambda: library.multiply_add(ROUNDS))
        self.operation_seconds.append(seconds / (ROUNDS * library.operations_a_round()))

    def vectors(self) -> float:
        library = probe()
        assert library is not None
        return self.batch * self.length * self.channels * self.state / library.vector_floats()

    def bytes(self) -> int:
        """Read: u, delta, B, C twice, the states kept, y's gradient; written: y, the states, four gradients."""
        steps = self.batch * self.length
        kept = steps * self.channels * self.state / CHUNK
        return int(FLOAT_BYTES * (steps * (8 * self.channels + 6 * self.state) + 2 * kept))

    def text(self, name: str, training_seconds: list[float]) -> str:
        """The floor, and which share of it was reached, round by round."""
        operation = min(self.operation_seconds)
        copied = machine_peaks().copy_gigabytes
        vectors = self.vectors()
        compute, memory = (FORWARD + BACKWARD) * vectors * operation, self.bytes() / copied / 1e9
        least = max(compute, memory)
        shares = sorted(least / seconds for seconds in training_seconds)
        middle = statistics.median(shares)
        return (
            f"Floor of {name}: {FORWARD} + {BACKWARD} vector operations (forward + backward) for each of"
            f" {vectors:,.0f} vectors at {1e-9 / operation:.2f} G/s take {compute * 1e3:.1f} ms;"
            f" {self.bytes() / 1e6:.0f} MB at {copied:.1f} GB/s take {memory * 1e3:.1f} ms. Reached: {middle:.0%} of"
            f" the floor ({shares[0]:.0%} to {shares[-1]:.0%} over rounds), that is {1 / middle:.1f} times its time."
        )
