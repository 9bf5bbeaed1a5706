"""Fuzzy in-context recall of the MAD benchmark."""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples, Split
from harness.registry import Range, tasks

from ._symbols import IdTask, SymbolSamples

Motif = tuple[int, ...]
MOST_MOTIFS = 100_000
"""Motifs of one size are listed; more are refused."""


@tasks.register("mad-fuzzy-recall", version=1)
class MadFuzzyRecall(IdTask):
    """MAD, fuzzy in-context recall: give the value of a key that came before, where both are one or several tokens.

    Keys and values are motifs of 1 to `key_size` and 1 to `value_size` different tokens, size and motif drawn at
    random; a key that comes again has the value it had. One pair stands at a random place and again at the end; pairs
    fill the sequence, and padding stands before them. Training asks for the next token everywhere; in validation and
    test all keys have `key_size` tokens, and the values of keys that came before are asked for. Ids: keys, values, and
    last padding. As published, the pair's place may lie behind the last pair that fits; then it comes at the end only,
    where nothing tells its value (one question in two hundred: the oracle is below 1).

    length=12, vocabulary=8, sizes 2 (keys 0 to 2, values 3 to 6, 7 padding), in a test; . has no target:
        ids       7 7 0 2 5 1 0 4 3 0 2
        target    . . . . . . . . . . 5        in training the next token everywhere

    Tokens are int64 [batch, length, 1], targets [batch, length]. Classes are all ids. test_length=n draws sequences of
    n tokens.

    Args:
        length: tokens of a sequence.
        vocabulary: ids, padding included.
        key_size: tokens of the longest keys.
        value_size: of the longest values.

    Raises:
        UserError: two pairs do not fit, motifs have more tokens than there are, or there are too many motifs.

    Source: Poli et al., arXiv 2403.17844; athms/mad-lab, mad/data/instances.py and
    configs/tasks/fuzzy-in-context-recall.yml (baseline: 12,800 training sequences).
    """

    next_token = True
    chunk: ClassVar[int] = 256

    def __init__(
        self,
        *,
        length: Annotated[int, Range(8, 65536)] = 128,
        vocabulary: Annotated[int, Range(5, 65536)] = 16,
        key_size: Annotated[int, Range(1, 8)] = 3,
        value_size: Annotated[int, Range(1, 8)] = 3,
    ):
        keys = (vocabulary - 1) // 2
        super().__init__("mad-fuzzy-recall", length=length, vocabulary=vocabulary, answers=vocabulary - 1 - keys)
        if length < 3 * (key_size + value_size) + 1:
            raise self.refuse(
                f"pairs of {key_size + value_size} tokens need room for three",
                f"length={length}",
                f"take {3 * (key_size + value_size) + 1} or more",
            )
        for size, tokens, name in ((key_size, keys, "key_size"), (value_size, self._values(keys), "value_size")):
            if size > tokens:
                raise self.refuse(
                    f"motifs of {name}={size} need as many tokens", f"vocabulary={vocabulary}", "take a larger one"
                )
            if tokens**size > MOST_MOTIFS:
                raise self.refuse(
                    f"{name}={size} has too many motifs", f"vocabulary={vocabulary}", "take a smaller one"
                )
        self.keys, self.key_size, self.value_size = keys, key_size, value_size
        self.padding = vocabulary - 1
        self.key_motifs = [list(itertools.permutations(range(keys), size)) for size in range(1, key_size + 1)]
        upper = range(keys, self.padding)
        self.value_motifs = [list(itertools.permutations(upper, size)) for size in range(1, value_size + 1)]

    def _values(self, keys: int) -> int:
        return self.vocabulary - 1 - keys

    def at_length(self, length: int) -> MadFuzzyRecall:
        return MadFuzzyRecall(
            length=length, vocabulary=self.vocabulary, key_size=self.key_size, value_size=self.value_size
        )

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self.layout_of("test", count, draw)

    def layout_of(self, split: Split, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        training = split == "train"
        keys = self.key_motifs if training else self.key_motifs[-1:]
        tokens = np.full((count, self.cells + 1), self.padding)
        asked = np.zeros((count, self.cells + 1), dtype=bool)
        # Four numbers a pair, of which there are half as many as cells at most, and five for the pair that is asked.
        uniform = draw.random((count, 2 * self.cells + 8))
        for row in range(count):
            written, questions = self._sequence(keys, iter(uniform[row].tolist()))
            tokens[row, -len(written) :], asked[row, -len(written) :] = written, questions
        asked |= training
        return tokens[:, :-1], np.where(asked, tokens, IGNORE_INDEX)[:, 1:]

    def _sequence(self, keys: list[list[Motif]], uniform) -> tuple[list[int], list[bool]]:
        """The tokens of a sequence without padding, and at which of them a value is asked for."""

        def drawn(motifs: list[list[Motif]]) -> Motif:
            of_size = motifs[int(next(uniform) * len(motifs))]
            return of_size[int(next(uniform) * len(of_size))]

        probe = (drawn(keys), drawn(self.value_motifs))
        size = len(probe[0]) + len(probe[1])
        place = int(next(uniform) * (self.cells - 2 * size))
        written: list[int] = []
        asked: list[bool] = []
        value_of: dict[Motif, Motif] = {}
        placed = False

        def write(key: Motif, value: Motif) -> None:
            written.extend(key + value)
            asked.extend([False] * len(key) + [key in value_of] * len(value))
            value_of[key] = value

        while len(written) < self.cells - size - self.key_size - self.value_size:
            if len(written) >= place and not placed:
                key, value = probe
            else:
                key, value = drawn(keys), drawn(self.value_motifs)
                value = probe[1] if key == probe[0] else value_of.get(key, value)
            placed = placed or key == probe[0]
            write(key, value)
        value_of[probe[0]] = probe[1]
        write(*probe)
        return written, asked

    def oracle(self, samples: Samples) -> np.ndarray:
        """Of test sequences: keys have `key_size` tokens, and a value goes on until the next key."""
        assert isinstance(samples, SymbolSamples)
        guess = np.zeros(samples.symbols.shape, dtype=np.int64)
        for row, symbols in enumerate(samples.symbols.tolist()):
            known: dict[Motif, list[int]] = {}
            cell = next(place for place, symbol in enumerate(symbols) if symbol != self.padding)
            while cell < len(symbols):
                key, start = tuple(symbols[cell : cell + self.key_size]), cell + self.key_size
                cell = start
                while cell < len(symbols) and symbols[cell] >= self.keys:
                    cell += 1
                value = known.setdefault(key, symbols[start:cell])
                guess[row, start - 1 : start - 1 + len(value)] = value[: len(symbols) - start + 1]
        return guess
