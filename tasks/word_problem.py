"""The word problem of a group: the product of all elements so far."""

from __future__ import annotations

import functools
import itertools
from typing import Annotated, Literal

import numpy as np

from harness.contracts import Samples
from harness.registry import Range, tasks

from ._symbols import IdTask, SymbolSamples


@tasks.register("word-problem", version=1)
class WordProblem(IdTask):
    """Word problem of a group: name the product of all elements so far, at every cell.

    A sequence is random elements of the group, each as likely; the target at cell t is x_1 x_2 ... x_t. Permutations
    are numbered in lexical order, the identity is 0, and in x y the permutation x acts first.

    group=S3, length=4 (0 identity, 1 swaps the last two, 2 the first two, 3 and 4 turn, 5 swaps the ends):
        ids       1 1 2 3
        target    1 0 2 5

    Tokens are int64 [batch, length, 1], targets [batch, length]. Classes are the elements.

    Args:
        group: S3 (6 elements), A5 (60) and S5 (120), of which the last two are not solvable, so that their word
            problems are complete for NC1; Z60, which adds modulo 60, is the solvable control of A5's size.
        length: elements of a sequence.

    Source: Merrill, Petty and Sabharwal, "The illusion of state in state-space models", arXiv 2404.08819, section 5
    (jopetty/word-problem, src/generate_data.py). Ours: no opening token, and sequences are drawn with replacement.
    """

    def __init__(
        self,
        *,
        group: Literal["S3", "A5", "S5", "Z60"] = "S5",
        length: Annotated[int, Range(1, 65536)] = 20,
    ):
        self.products = products_of(group)
        count = len(self.products)
        super().__init__("word-problem", length=length, vocabulary=count, answers=count)
        self.group, self.balanced = group, True

    def at_length(self, length: int) -> WordProblem:
        return WordProblem(group=self.group, length=length)  # type: ignore[arg-type]

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        symbols = draw.integers(0, self.classes, size=(count, self.cells))
        target = np.empty_like(symbols)
        state = np.zeros(count, np.int64)
        for cell in range(self.cells):
            state = target[:, cell] = self.products[state, symbols[:, cell]]
        return symbols, target

    def oracle(self, samples: Samples) -> np.ndarray:
        """By halves rather than from the left: products of stretches, which associativity makes the same."""
        assert isinstance(samples, SymbolSamples)
        found, reach = samples.symbols.astype(np.int64), 1
        while reach < self.cells:
            found[:, reach:] = self.products[found[:, :-reach], found[:, reach:]]
            reach *= 2
        return found


@functools.cache
def products_of(group: str) -> np.ndarray:
    """The table of products [elements, elements]: entry [x, y] is x y.

    >>> products_of("S3")[1].tolist()
    [1, 0, 4, 5, 2, 3]
    """
    kind, size = group[0], int(group[1:])
    if kind == "Z":
        return np.add.outer(np.arange(size), np.arange(size)) % size
    elements = [each for each in itertools.permutations(range(size)) if kind == "S" or _is_even(each)]
    number = {element: position for position, element in enumerate(elements)}
    return np.array([[number[tuple(y[image] for image in x)] for y in elements] for x in elements])


def _is_even(permutation: tuple[int, ...]) -> bool:
    return sum(a > b for a, b in itertools.combinations(permutation, 2)) % 2 == 0
