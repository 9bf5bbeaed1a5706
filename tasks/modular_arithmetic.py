"""Modular arithmetic: the value of an expression, with brackets or without."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from harness.contracts import Samples
from harness.registry import Range, tasks

from ._sized import SHORTEST, SizedTask
from ._symbols import SymbolSamples

PLAIN, BRACKETS = "+-*=", "+-*()="
SHORTEST_BRACKETED = 5


@tasks.register("modular-arithmetic", version=1)
class ModularArithmetic(SizedTask):
    """Modular arithmetic: the value of an expression modulo `modulus`.

    Without brackets an expression is numbers with +, - and * between them, each as likely, and * binds first. With
    brackets it is (left + right) or (left - right), sides drawn in the same way again, down to a number, perhaps
    negated or in brackets. "=" follows, and the value is the target there. Sequences have `shortest` to `length`
    tokens, the value (and with brackets a padding token) included; without brackets an odd number. Ids: numbers, then
    the signs in the order + - * ( ) =, then padding; without brackets there are no ( and ).

    length=9, modulus=5 (5 +, 6 -, 7 *, 8 =, 9 padding); . has no target:
        2 - 3 * 4 =       ids     2 6 3 7 4 8 9 9
                          target  . . . . . 0 . .        2 - 12 = -10, which is 0 modulo 5

    Tokens are int64 [batch, cells, 1], targets [batch, cells], masks False on padding. Classes are all ids.
    test_length=n draws sequences of `length` to n tokens where n is longer.

    Args:
        length: tokens of the longest sequence, value included.
        shortest: of the shortest.
        modulus: numbers are below it.
        brackets: nested expressions of + and -, as published, rather than flat ones.

    Raises:
        UserError: the shortest is longer than the longest.

    Source: the formal languages `modular_arithmetic` and `modular_arithmetic_with_brackets` as used by Grazzi et al.,
    arXiv 2411.12537 (automl/unlocking_state_tracking, xlstm/experiments/data/formal_language/tasks/; lengths and
    modulus from mod_arithmetic_mamba.yaml and mod_arithmetic_with_brackets_mamba.yaml: 3 to 40, tests 40 to 256, 5).
    Ours: ids in another order. Their validation draws test lengths; ours draws training lengths.
    """

    chunk: ClassVar[int] = 256

    def __init__(
        self,
        *,
        length: Annotated[int, Range(SHORTEST_BRACKETED, 65536)] = 40,
        shortest: Annotated[int, Range(SHORTEST, 65536)] = SHORTEST,
        modulus: Annotated[int, Range(2, 1024)] = 5,
        brackets: bool = False,
    ):
        self.signs = BRACKETS if brackets else PLAIN
        vocabulary = modulus + len(self.signs) + 1
        # Behind a bracketed value stands a padding token that counts; of flat expressions the longest is odd.
        cells = length - 2 if brackets else (length + 1) // 2 * 2 - 2
        super().__init__("modular-arithmetic", length=cells, vocabulary=vocabulary, answers=modulus)
        self.sizes(shortest, length)
        self.modulus, self.brackets = modulus, brackets
        self.id_of = {sign: modulus + number for number, sign in enumerate(self.signs)}
        self.padding = vocabulary - 1

    def at_length(self, length: int) -> ModularArithmetic:
        return ModularArithmetic(modulus=self.modulus, brackets=self.brackets, **self.sizes_at(length))

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        return self._nested(count, draw) if self.brackets else self._flat(count, draw)

    def _flat(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        most = (self.longest_size + 1) // 2
        terms = draw.integers(min((self.shortest + 1) // 2, most), most + 1, size=count) - 1
        symbols = np.full((count, self.cells), self.padding)
        numbers = draw.integers(0, self.modulus, size=(count, self.cells // 2))
        signs = draw.integers(0, 3, size=(count, self.cells // 2))
        symbols[:, ::2], symbols[:, 1::2] = numbers, self.modulus + signs
        total, product, sign = np.zeros(count, np.int64), numbers[:, 0].copy(), np.ones(count, np.int64)
        for term in range(1, numbers.shape[1]):
            used, operator, number = term < terms, signs[:, term - 1], numbers[:, term]
            times = operator == 2
            total = np.where(used & ~times, (total + sign * product) % self.modulus, total)
            product = np.where(used, np.where(times, product * number % self.modulus, number), product)
            sign = np.where(used & ~times, 1 - 2 * operator, sign)
        steps = 2 * terms
        symbols[np.arange(count), steps - 1] = self.id_of["="]
        symbols[np.arange(self.cells) >= steps[:, None]] = self.padding
        return symbols, self.answered(steps, (total + sign * product) % self.modulus), steps

    def _nested(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        sizes = np.maximum(draw.integers(self.shortest, self.longest_size + 1, size=count), SHORTEST_BRACKETED)
        symbols = np.full((count, self.cells), self.padding)
        answers = np.empty(count, np.int64)
        # Three numbers a token is more than any expression takes.
        uniform = draw.random((count, 3 * self.cells))
        for row, size in enumerate(sizes.tolist()):
            tokens: list[int] = []
            answers[row] = self._write(size - 3, tokens, iter(uniform[row].tolist()))
            symbols[row, : len(tokens) + 1] = [*tokens, self.id_of["="]]
        return symbols, self.answered(sizes - 2, answers), sizes - 2

    def _write(self, length: int, tokens: list[int], uniform) -> int:
        """Write an expression of so many tokens; its value."""
        if length < 5:
            number, id_of = int(next(uniform) * self.modulus), self.id_of
            negated = length in (2, 4)
            inner = [id_of["-"], number] if negated else [number]
            tokens += [id_of["("], *inner, id_of[")"]] if length > 2 else inner
            return -number % self.modulus if negated else number
        left_length = 1 + int(next(uniform) * (length - 4))
        minus = next(uniform) < 0.5
        tokens.append(self.id_of["("])
        left = self._write(left_length, tokens, uniform)
        tokens.append(self.id_of["-" if minus else "+"])
        right = self._write(length - left_length - 3, tokens, uniform)
        tokens.append(self.id_of[")"])
        return (left - right if minus else left + right) % self.modulus

    def text_of(self, symbols: np.ndarray) -> str:
        """An expression as it is written, up to its "="; of the ids 2, 6, 3, 8 that is 2-3."""
        shown = [*map(str, range(self.modulus)), *self.signs, ""]
        return "".join(shown[symbol] for symbol in symbols.tolist()).partition("=")[0]

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        values = [value_of(row.tolist(), self.modulus, self.id_of) for row in samples.symbols]
        return self.at_the_last_step(samples, np.array(values))


def value_of(symbols: list[int], modulus: int, id_of: dict[str, int]) -> int:
    """The value of an expression by one pass from the left, a stack entry for each open bracket.

    >>> value_of([2, 6, 3, 7, 4, 8], 5, {"+": 5, "-": 6, "*": 7, "=": 8})
    0
    """
    minus, times = id_of["-"], id_of["*"]
    opening, closing, equals = id_of.get("(", -1), id_of.get(")", -1), id_of["="]
    stack: list[tuple[int, int]] = []
    total, factor = 0, 1  # what is summed up, and what the next operand is multiplied with
    operand = False  # whether the last token closed an operand: "-" is then a difference, otherwise a sign
    for symbol in symbols:
        if symbol < modulus:
            factor, operand = factor * symbol % modulus, True
        elif symbol == opening:
            stack.append((total, factor))
            total, factor, operand = 0, 1, False
        elif symbol == closing:
            inner = total + factor
            total, factor = stack.pop()
            factor, operand = factor * inner % modulus, True
        elif symbol == equals:
            break
        elif symbol != times:
            total += factor if operand else 0
            factor = (-1 if symbol == minus else 1) * (1 if operand else factor)
            operand = False
    return (total + factor) % modulus
