"""What the mechanistic architecture design (MAD) tasks of recall share.

Source: Poli et al., "Mechanistic design and scaling of hybrid architectures", arXiv 2403.17844; athms/mad-lab,
mad/data/instances.py.
"""

from __future__ import annotations

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples, Split

from ._symbols import IdTask, SymbolSamples

LEAST_KEYS = 2


class InContextRecall(IdTask):
    """Pairs of keys and values; each key has the same value whenever it comes again, and is then asked for it.

    Training asks for the next token everywhere; validation and test only where a key comes again. The last pair always
    does. Ids: keys, values, then noise.

    Args:
        noise: share of pairs that are two tokens of noise instead. noise_vocabulary: how many ids noise has.
    """

    next_token = True

    def __init__(self, name: str, *, length: int, vocabulary: int, noise_vocabulary: int, noise: float):
        self.keys = (vocabulary - noise_vocabulary) // 2
        self.values = vocabulary - noise_vocabulary - self.keys
        super().__init__(name, length=length - 1, vocabulary=vocabulary, answers=max(1, self.values))
        if self.keys < LEAST_KEYS:
            raise self.refuse(
                f"noise_vocabulary={noise_vocabulary} leaves no two keys and values",
                f"vocabulary={vocabulary}",
                f"take {noise_vocabulary + 2 * LEAST_KEYS} or more",
            )
        if length % 2:
            raise self.refuse("a sequence is pairs", f"length={length}", "give an even number")
        if noise and not noise_vocabulary:
            raise self.refuse(f"noise={noise:g} needs ids", "noise_vocabulary=0", "take 1 or more")
        self.noise, self.noise_vocabulary, self.pairs = noise, noise_vocabulary, length // 2

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self.layout_of("test", count, draw)

    def layout_of(self, split: Split, count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        rows, before = np.arange(count), self.pairs - 1
        value_of = self.keys + draw.integers(0, self.values, size=(count, self.keys))
        keys = draw.integers(0, self.keys, size=(count, self.pairs))
        noisy = draw.random((count, before)) < self.noise
        noisy[rows, draw.integers(0, before, size=count)] = False  # at least one pair to be asked for
        # The last key is any of those that came, each as likely however often it came.
        came = np.zeros((count, self.keys), dtype=bool)
        repeated = np.zeros((count, self.pairs), dtype=bool)
        for pair in range(before):
            repeated[:, pair] = came[rows, keys[:, pair]] & ~noisy[:, pair]
            came[rows, keys[:, pair]] |= ~noisy[:, pair]
        keys[:, -1] = np.where(came, draw.random(came.shape), -1).argmax(axis=1)
        repeated[:, -1] = True
        values = np.take_along_axis(value_of, keys, axis=1)
        if self.noise:
            drawn = (
                self.vocabulary - self.noise_vocabulary + draw.integers(0, self.noise_vocabulary, (2, count, before))
            )
            keys[:, :-1], values[:, :-1] = np.where(noisy, drawn, [keys[:, :-1], values[:, :-1]])
        tokens = np.stack([keys, values], axis=2).reshape(count, -1)
        asked = np.stack([np.zeros_like(repeated), repeated], axis=2).reshape(count, -1) | (split == "train")
        return tokens[:, :-1], np.where(asked, tokens, IGNORE_INDEX)[:, 1:]

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        guess = np.zeros(samples.symbols.shape, dtype=np.int64)
        for row, symbols in enumerate(samples.symbols.tolist()):
            known: dict[int, int] = {}
            for cell in range(0, len(symbols), 2):
                guess[row, cell] = known.get(symbols[cell], 0)
                if cell + 1 < len(symbols):
                    known[symbols[cell]] = symbols[cell + 1]
        return guess
