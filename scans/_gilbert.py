"""The generalized Hilbert curve: a recursive, connected walk through any rectangle.

Source: J. Cerveny, "Generalized Hilbert space-filling curve for rectangular domains of arbitrary (non-power of two)
sizes", github.com/jakubcerveny/gilbert (2018). On squares of side 2^k it is the curve of D. Hilbert, "Ueber die stetige
Abbildung einer Linie auf ein Flaechenstueck", Mathematische Annalen 38 (1891).
"""

from __future__ import annotations

from collections.abc import Iterator


def walk(start: int, along: int, length: int, across: int, breadth: int) -> Iterator[range]:
    """Walk a rectangle from the corner `start` to the far end of its `along` side.

    A direction is the step between flat cells: +-1 along a row, +-width along a column. The walk ends in that corner
    wherever a walk of single steps can; on some odd sizes it ends beside it.

    Args:
        start: flat cell of the first corner.
        along: direction of that side, seen from `start`.
        length: cells on that side.
        across: the other direction, into the rectangle.
        breadth: cells on that side.

    Yields:
        straight runs of flat cells; joined they visit every cell of the rectangle once.
    """
    if breadth == 1:
        yield range(start, start + along * length, along)
        return
    if length == 1:
        yield range(start, start + across * breadth, across)
        return
    if 2 * length > 3 * breadth:  # long: two parts, one after the other
        half = _even_half(length, along)
        yield from walk(start, along, half, across, breadth)
        yield from walk(start + along * half, along, length - half, across, breadth)
        return
    # Else three parts: into the rectangle, along its far side, and back out to the last corner.
    half_length = _half(length, along)
    half_breadth = _even_half(breadth, across)
    yield from walk(start, across, half_breadth, along, half_length)
    yield from walk(start + across * half_breadth, along, length, across, breadth - half_breadth)
    back = start + along * (length - 1) + across * (half_breadth - 1)
    yield from walk(back, -across, half_breadth, -along, length - half_length)


def _half(length: int, direction: int) -> int:
    return length // 2 if direction > 0 else (length + 1) // 2


def _even_half(length: int, direction: int) -> int:
    """About half, even where that is possible: a part of even side can be left again at its other corner."""
    half = _half(length, direction)
    return half + 1 if half % 2 and length > 2 else half
