"""Copying a string: what stood before the bar, letter by letter."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples, Split
from harness.registry import Range, tasks

from ._symbols import IdTask, SymbolSamples


@tasks.register("copying", version=1)
class Copying(IdTask):
    """Copying: repeat a string of random letters after a bar.

    An example is an opening token, `shortest` to `length` letters, a bar, the same letters again and a closing token.
    The model reads all but its last token and is asked, from the bar on, for the token that follows. Training packs
    examples into `context` tokens, the last one cut off and not asked; validation and test hold one each. Ids: letters,
    then opening, bar, closing and padding.

    letters=3 (3 opening, 4 bar, 5 closing), a string of 3; . has no target:
        ids       3 0 2 2 4 0 2 2
        target    . . . . 0 2 2 5

    Tokens are int64 [batch, context - 1, 1], targets [batch, context - 1], masks False on padding. Classes are all ids.
    test_length=n asks for strings of n letters. Accuracy is that of letters (and the closing token), not of strings.

    Args:
        length: letters of the longest string.
        shortest: of the shortest.
        letters: of the alphabet.
        context: tokens that training packs examples into; twice the longest string and three more must fit.

    Raises:
        UserError: the lengths do not go together.

    Source: Jelassi et al., "Repeat after me", arXiv 2402.01032 (sjelassi/transformers_ssm_copy,
    synthetic_exps/data_utils.py: task copy, the defaults of main.py: 8 to 50 letters, context 220; 26 letters as in its
    README's commands, from memory).
    """

    next_token = True

    def __init__(
        self,
        *,
        length: Annotated[int, Range(1, 16384)] = 50,
        shortest: Annotated[int, Range(1, 16384)] = 8,
        letters: Annotated[int, Range(2, 65000)] = 26,
        context: Annotated[int, Range(5, 65536)] = 220,
    ):
        super().__init__("copying", length=context - 1, vocabulary=letters + 4, answers=letters)
        if shortest > length:
            raise self.refuse(
                f"shortest={shortest} letters cannot be more than length", f"length={length}", f"take {shortest}"
            )
        if 2 * length + 3 > context:
            raise self.refuse(
                f"strings of {length} letters take {2 * length + 3} tokens",
                f"context={context}",
                f"take {2 * length + 3} or more",
            )
        self.letters, self.string_sizes = letters, (shortest, length)
        self.opening, self.bar, self.closing, self.padding = range(letters, letters + 4)
        # Every string has its closing token, which a constant guess may name too.
        self.chance = (shortest + length) / (shortest + length + 2) / letters

    def at_length(self, length: int) -> Copying:
        return Copying(length=length, shortest=length, letters=self.letters, context=2 * length + 3)

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        return self.layout_of("test", count, draw)

    def layout_of(self, split: Split, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        context, packed = self.cells + 1, split == "train"
        tokens = np.full((count, context), self.padding)
        asked = np.zeros((count, context), dtype=bool)
        steps = np.full(count, self.cells)
        shortest, longest = self.string_sizes
        for row in range(count):
            end, whole = 0, True
            while whole and (packed or not end):
                letters = draw.integers(0, self.letters, size=draw.integers(shortest, longest + 1))
                example = np.concatenate([[self.opening], letters, [self.bar], letters, [self.closing]])
                whole = end + len(example) <= context
                tokens[row, end : end + len(example)] = example[: context - end]
                if whole:
                    asked[row, end + len(letters) + 2 : end + len(example)] = True
                    end += len(example)
            if not packed:
                steps[row] = end - 1
        target = np.where(asked, tokens, IGNORE_INDEX)[:, 1:]
        if packed:
            return tokens[:, :-1], target
        tokens[np.arange(count), steps] = self.padding  # the closing token is asked for, not read
        return tokens[:, :-1], target, steps

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        guess = np.zeros(samples.symbols.shape, dtype=np.int64)
        for row, symbols in enumerate(samples.symbols.tolist()):
            bar = symbols.index(self.bar)
            guess[row, bar : 2 * bar] = [*symbols[1:bar], self.closing]
        return guess
