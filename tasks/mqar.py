"""Multi-query associative recall as published: ids, the whole vocabulary as classes, sets of several sizes mixed."""

from __future__ import annotations

import re
from typing import Annotated

import numpy as np

from harness.contracts import IGNORE_INDEX, Samples, Split
from harness.registry import Range, tasks

from ._symbols import IdTask, SymbolSamples, few_of_each, some_of_each

BLANK = 0


@tasks.register("mqar", version=1)
class MultiQueryRecall(IdTask):
    """MQAR as published: give the value of every key that comes again.

    A sequence opens with `pairs` keys, each followed by its value; keys differ from each other, and so do values. Then
    every key comes once more, at an even distance 2 g behind the pairs, with g from 0 drawn with probability
    proportional to (g + 1)^(power_a - 1) and no place taken twice. There its value is the target. The rest are random
    ids (random_non_queries=true) or blanks. Ids: 0 is blank, keys are 1 to vocabulary / 2 - 1, values the upper half.

    length=16, pairs=2, vocabulary=12, random_non_queries=false; . has no target:
        ids       2 8 4 7 0 0 4 0 0 0 0 0 2 0 0 0
        target    . . . . . . 7 . . . . . 8 . . .

    Tokens are int64 [batch, cells, 1], targets [batch, cells]. Classes are all ids. test_length=n keeps the cells a
    pair: n tokens with pairs * n / length pairs.

    Args:
        length: tokens of a sequence, at least four a pair.
        pairs: keys, and questions.
        vocabulary: ids, half of them keys.
        random_non_queries: what is not asked are random ids rather than blanks.
        power_a: exponent of the power law of places; 1 is uniform.
        passes: how often the pairs are repeated before the questions.
        train: other sizes to train on, LENGTHxPAIRSxSHARE separated by spaces, a sequence being of one with probability
            proportional to its share and padded to the longest (a mask says so); none trains on length and pairs.

    Raises:
        UserError: pairs do not fit, ids do not suffice, a size is not read.

    Source: Arora et al. (Zoology), arXiv 2312.04927, and its code, HazyResearch/zoology, zoology/data/multiquery_ar.py,
    whose defaults these are. Figure 2: length and pairs 64 and 4, 128 and 8, 256 and 16, random_non_queries=false
    (zoology/experiments/paper_configs/iclr24_zoology_figure2/configs.py). The README's plot over the state:
    train="64x4x100 128x8x20 256x16x20 256x32x20 256x64x20", tests of 4 cells a pair up to 1024 and, at length 64, of
    4 and 8 pairs too (zoology/experiments/mqar_example_configs/original_mqar_configs.py). There a batch has one size.
    Its models (zoology/model.py, config.py) tie the head (tied_head=true) and drop out a tenth of the embeddings
    (no such option here).
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Range(4, 65536)] = 64,
        pairs: Annotated[int, Range(1, 16384)] = 8,
        vocabulary: Annotated[int, Range(6, 65536)] = 8192,
        random_non_queries: bool = True,
        power_a: Annotated[float, Range(0, 10)] = 0.01,
        passes: Annotated[int, Range(1, 16)] = 1,
        train: str = "none",
    ):
        self.subject = "task mqar"
        self.size, self.passes = (length, pairs), passes
        self.train_sizes, self.shares = self._read(train)
        for each_length, each_pairs in {self.size, *self.train_sizes}:
            needed = 2 * each_pairs * (passes + 1)
            if needed > each_length:
                raise self.refuse(
                    f"pairs={each_pairs} need {needed} cells", f"length={each_length}", f"take {needed} or more"
                )
            if each_pairs > vocabulary // 2 - 1:
                raise self.refuse(
                    f"pairs={each_pairs} need as many keys", f"vocabulary={vocabulary}", f"take {2 * each_pairs + 2}"
                )
        if vocabulary % 2:
            raise self.refuse("half of the vocabulary are keys", f"vocabulary={vocabulary}", "give an even number")
        longest = max(each_length for each_length, _ in (self.size, *self.train_sizes))
        super().__init__("mqar", length=longest, vocabulary=vocabulary, answers=vocabulary // 2)
        self.random_non_queries, self.power_a = random_non_queries, power_a

    def _read(self, text: str) -> tuple[list[tuple[int, int]], np.ndarray]:
        if text == "none":
            return [self.size], np.ones(1)
        found = [re.fullmatch(r"(\d{1,6})x(\d{1,6})x(\d{1,9})", part) for part in text.split(" ")]
        sizes = [(int(each[1]), int(each[2])) for each in found if each]
        shares = np.array([float(each[3]) for each in found if each])
        if None in found or not shares.sum() or not all(length and pairs for length, pairs in sizes):
            raise self.refuse(
                "train is sizes LENGTHxPAIRSxSHARE with spaces between", f"train={text!r}", "for example 64x4x5 128x8x1"
            )
        return sizes, shares / shares.sum()

    def at_length(self, length: int) -> MultiQueryRecall:
        return MultiQueryRecall(
            length=length,
            pairs=max(1, self.size[1] * length // self.size[0]),
            vocabulary=self.vocabulary,
            random_non_queries=self.random_non_queries,
            power_a=self.power_a,
            passes=self.passes,
        )

    def layout(self, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        return self.layout_of("test", count, draw)

    def layout_of(self, split: Split, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        sizes, shares = ([self.size], np.ones(1)) if split == "test" else (self.train_sizes, self.shares)
        chosen = draw.choice(len(sizes), size=count, p=shares)
        symbols = np.full((count, self.cells), BLANK)
        target = np.full((count, self.cells), IGNORE_INDEX)
        steps = np.array([length for length, _ in sizes])[chosen]
        for number, (length, pairs) in enumerate(sizes):
            rows = np.flatnonzero(chosen == number)
            symbols[rows, :length], target[rows, :length] = self._sequences(len(rows), length, pairs, draw)
        if len(sizes) == 1 and sizes[0][0] == self.cells:
            return symbols, target
        return symbols, target, steps

    def _sequences(self, count: int, length: int, pairs: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
        half, once, context = self.vocabulary // 2, 2 * pairs, 2 * pairs * self.passes
        pick = few_of_each if pairs < half // 16 else some_of_each
        keys, values = 1 + pick(half - 1, pairs, count, draw), half + pick(half, pairs, count, draw)
        symbols = np.full((count, length), BLANK)
        for start in range(0, context, once):
            symbols[:, start : start + once : 2], symbols[:, start + 1 : start + once : 2] = keys, values
        log_weights = (self.power_a - 1) * np.log(np.arange(1, (length - context) // 2 + 1))
        # The largest of Gumbel-perturbed weights, in falling order, are draws one after the other without replacement.
        perturbed = log_weights + draw.gumbel(size=(count, len(log_weights)))
        places = context + 2 * np.argsort(-perturbed, axis=1)[:, :pairs]
        np.put_along_axis(symbols, places, keys, axis=1)
        target = np.full((count, length), IGNORE_INDEX)
        np.put_along_axis(target, places, values, axis=1)
        if self.random_non_queries:
            symbols = np.where(symbols == BLANK, draw.integers(0, self.vocabulary, size=symbols.shape), symbols)
        return symbols, target

    def oracle(self, samples: Samples) -> np.ndarray:
        assert isinstance(samples, SymbolSamples)
        guess = np.zeros(samples.symbols.shape, dtype=np.int64)
        for row, (symbols, target) in enumerate(zip(samples.symbols.tolist(), samples.target, strict=True)):
            asked = np.flatnonzero(target != IGNORE_INDEX)
            opening = symbols[: 2 * len(asked)]
            value_of = dict(zip(opening[::2], opening[1::2], strict=True))
            guess[row, asked] = [value_of[symbols[cell]] for cell in asked]
        return guess
