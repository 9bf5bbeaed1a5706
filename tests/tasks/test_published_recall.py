"""Published tasks of recall and copying: what their generators say of sequences."""

import numpy as np
import pytest

from harness.contracts import IGNORE_INDEX
from harness.contracts.errors import UserError
from harness.registry import tasks
from harness.training.ceilings import ceilings


def create(spec):
    entry, values = tasks.parse(spec)
    return entry.create(values)


def rows_of(samples):
    return zip(samples.symbols.tolist(), samples.target.tolist(), strict=True)


def asked_of(target):
    return {cell: answer for cell, answer in enumerate(target) if answer != IGNORE_INDEX}


FIGURE_2 = "mqar:length=64,pairs=4,random_non_queries=false"
README_PLOT = 'mqar:length=64,pairs=16,train="64x4x100 128x8x20 256x16x20 256x32x20 256x64x20"'


@pytest.mark.parametrize("spec", [FIGURE_2, "mqar:vocabulary=64,passes=2", "mqar:length=128,pairs=32,power_a=1"])
def test_every_key_of_mqar_comes_again_once_and_asks_for_its_value(spec):
    task = create(spec)
    pairs, half = task.size[1], task.vocabulary // 2
    for ids, target in rows_of(task.sample("train", 200, 0)):
        opening = ids[: 2 * pairs]
        assert ids[: 2 * pairs * task.passes] == opening * task.passes
        value_of = dict(zip(opening[::2], opening[1::2], strict=True))
        assert len(value_of) == len(set(value_of.values())) == pairs
        assert min(value_of) >= 1 and max(value_of) < half <= min(value_of.values())
        asked = asked_of(target)
        assert sorted(ids[cell] for cell in asked) == sorted(value_of)
        assert all(cell >= 2 * pairs * task.passes and cell % 2 == 0 for cell in asked)
        assert all(value_of[ids[cell]] == answer for cell, answer in asked.items())
        if not task.random_non_queries:
            rest = set(range(2 * pairs * task.passes, task.cells)) - set(asked)
            assert {ids[cell] for cell in rest} == {0}


def test_keys_and_values_of_mqar_are_any_of_their_halves_whichever_way_they_are_drawn():
    for spec in ("mqar:vocabulary=12,pairs=2,length=16", "mqar:vocabulary=400,pairs=2,length=16"):
        task = create(spec)
        symbols, half = task.sample("train", 30_000, 0).symbols, task.vocabulary // 2
        for cells, low, count in (((0, 2), 1, half - 1), ((1, 3), half, half)):
            found = np.bincount(symbols[:, cells].ravel(), minlength=task.vocabulary)[low : low + count] / 60_000
            assert (np.abs(found - 1 / count) < 5 * np.sqrt(1 / count / 60_000)).all()
            assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("power_a", [0.01, 1.0])
def test_questions_of_mqar_stand_where_drawing_without_replacement_puts_them(power_a):
    task = create(f"mqar:length=20,pairs=3,power_a={power_a},random_non_queries=false")
    samples = task.sample("train", 20_000, 0)
    weights = np.arange(1, 8) ** (power_a - 1)
    draw = np.random.default_rng(1)
    drawn = np.stack([draw.choice(7, size=3, replace=False, p=weights / weights.sum()) for _ in range(20_000)])
    for pair in range(3):
        places = (samples.symbols[:, 6:] == samples.symbols[:, [2 * pair]]).argmax(axis=1) // 2
        expected = np.bincount(drawn[:, pair], minlength=7) / 20_000
        assert np.abs(np.bincount(places, minlength=7) / 20_000 - expected).max() < 0.02


def test_mqar_trains_on_several_sizes_and_tests_on_one():
    task = create(README_PLOT)
    samples = task.sample("train", 6000, 0)
    counts = {}
    for symbols, target, steps in zip(samples.symbols, samples.target, samples.steps, strict=True):
        size = (int(steps), int((target != IGNORE_INDEX).sum()))
        counts[size] = counts.get(size, 0) + 1
        assert not symbols[steps:].any() and (target[steps:] == IGNORE_INDEX).all()
    assert counts.keys() == {(64, 4), (128, 8), (256, 16), (256, 32), (256, 64)}
    assert counts[64, 4] / 6000 == pytest.approx(100 / 180, abs=0.03)
    assert (task.sample("test", 50, 0).steps == 64).all() and task.cells == 256
    for length, pairs in ((64, 16), (128, 32), (1024, 256)):  # what is tested in the published configuration
        longer = task.at_length(length).sample("test", 4, 0)
        assert longer.symbols.shape == (4, length) and ((longer.target >= 0).sum(axis=1) == pairs).all()


def test_copying_asks_for_the_string_behind_the_bar_and_packs_training():
    task = create("copying")
    train, test = task.sample("train", 60, 0), task.sample("test", 200, 0)
    sizes = []
    for ids, target in rows_of(test):
        bar = ids.index(task.bar)
        assert ids[0] == task.opening and set(ids[1:bar]) <= set(range(26)) and ids[bar + 1 : 2 * bar] == ids[1:bar]
        assert target[bar : 2 * bar] == [*ids[1:bar], task.closing] and len(asked_of(target)) == bar
        assert set(ids[2 * bar :]) <= {task.padding}
        sizes.append(bar - 1)
    assert (min(sizes), max(sizes)) == (8, 50) and np.array_equal(test.steps, 2 * np.array(sizes) + 2)
    for ids, target in rows_of(train):
        openings = [cell for cell, token in enumerate(ids) if token == task.opening]
        assert openings[0] == 0 and task.padding not in ids and len(openings) > 1
        for start, end in zip(openings, openings[1:], strict=False):
            string = ids[start + 1 : ids.index(task.bar, start)]
            assert ids[start:end] == [task.opening, *string, task.bar, *string, task.closing]
            answers = [*string, task.closing, IGNORE_INDEX]  # behind the closing token comes another example
            assert target[start:end] == [IGNORE_INDEX] * (len(string) + 1) + answers
    assert train.steps is None and task.at_length(200).sample("test", 2, 0).symbols.shape == (2, 402)


@pytest.mark.parametrize("spec", ["mad-in-context-recall", "mad-noisy-recall"])
def test_a_key_that_comes_again_has_its_value_and_is_asked_in_tests(spec):
    task = create(spec)
    keys, values = set(range(task.keys)), set(range(task.keys, task.keys + task.values))
    noise = 0
    for (ids, target), (train_ids, train_target) in zip(
        rows_of(task.sample("test", 300, 0)), rows_of(task.sample("train", 300, 0)), strict=True
    ):
        assert train_target[:-1] == train_ids[1:]
        known = {}
        for cell in range(0, len(ids), 2):
            key, value = ids[cell], ids[cell + 1] if cell + 1 < len(ids) else target[cell]
            if key not in keys:
                assert {key, value}.isdisjoint(keys | values) and target[cell] == IGNORE_INDEX
                noise += 1
                continue
            assert value in values and known.setdefault(key, value) == value
            assert target[cell] == (value if key in ids[:cell:2] else IGNORE_INDEX)
        assert len(ids) == 127 and all(cell % 2 == 0 for cell in asked_of(target)) and target[-1] in values
    assert noise / (300 * 63) == pytest.approx(0.2 if "noisy" in spec else 0, abs=0.02)


def test_sizes_of_the_mad_vocabularies_are_the_published_ones():
    plain, noisy, fuzzy = (create(f"mad-{name}-recall") for name in ("in-context", "noisy", "fuzzy"))
    assert (plain.keys, plain.values, noisy.keys, noisy.values, noisy.noise_vocabulary) == (8, 8, 8, 8, 16)
    assert (fuzzy.keys, fuzzy.padding, fuzzy.cells) == (7, 15, 128)
    memorize, copy = create("mad-memorize"), create("mad-selective-copy")
    assert (len(memorize.value_of), memorize.insert) == (127, 255) and (copy.blank, copy.copy) == (14, 15)


def test_memorized_values_are_the_same_in_every_run_and_split_and_no_sequence_shows_them():
    task = create("mad-memorize")
    assert np.array_equal(task.value_of, create("mad-memorize:length=8").value_of)
    assert len(set(task.value_of.tolist())) == 127 and set(task.value_of) <= set(range(127, 255))
    for split, seed in (("train", 0), ("test", 7)):
        for ids, target in rows_of(task.sample(split, 50, seed)):
            assert set(ids[1::2]) == {task.insert} and max(ids[::2]) < 127
            assert asked_of(target) == {2 * n + 1: task.value_of[key] for n, key in enumerate(ids[::2])}


def test_compression_asks_for_every_token_and_the_model_reads_its_final_step_only():
    from harness.registry.cells import cell_from, protocol_of, task_of

    task = create("mad-compress")
    samples = task.sample("test", 200, 0)
    assert np.array_equal(samples.symbols, samples.target) and (samples.symbols[:, -1] == 15).all()
    assert set(samples.symbols[:, :-1].ravel()) == set(range(15))
    cell = cell_from("mad-compress", "gru", "horizontal", "standard:width=16")
    model = protocol_of(cell).build(cell, task_of(cell), seed=0)
    x = samples.batch(np.arange(4))
    import torch

    tokens = torch.from_numpy(x.tokens)
    read = {}
    model.decoder.register_forward_pre_hook(lambda _, inputs: read.update(final=inputs[0]))
    scores = model(tokens)
    assert scores.shape == (4, 32, 16) and read["final"].shape == (4, 16)
    mask = torch.ones(4, 32, dtype=torch.bool)
    torch.testing.assert_close(model(tokens, mask), scores, rtol=1e-4, atol=1e-5)


def test_blanks_of_mads_selective_copy_stand_before_tokens_and_never_behind_the_last():
    task = create("mad-selective-copy")
    before = 256 - 17
    runs = []
    for ids, target in rows_of(task.sample("train", 500, 0)):
        data = [token for token in ids[:before] if token < task.blank]
        assert len(data) == 16 and ids[before - 1] < task.blank and ids[before] == task.copy
        assert set(ids[before + 1 :]) == {task.blank} and target[-16:] == data and len(asked_of(target)) == 16
        places = [-1, *[cell for cell, token in enumerate(ids[:before]) if token < task.blank]]
        runs.append(np.diff(places) - 1)
    means = np.mean(runs, axis=0)
    assert (np.abs(means - (before - 16) / 16) < 5 * np.sqrt(223 / 16 / 500)).all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_fuzzy_keys_and_values_are_motifs_and_a_key_keeps_its_value(split):
    task = create("mad-fuzzy-recall")
    sizes, at_the_end = [], 0
    for ids, target in rows_of(task.sample(split, 300, 0)):
        whole = [*ids, target[-1]]
        start = next(cell for cell, token in enumerate(whole) if token != task.padding)
        assert task.padding not in whole[start:] and start < 16
        motifs = []  # a run of keys, then a run of values
        for token in whole[start:]:
            if not motifs or (token < task.keys) != (motifs[-1][-1] < task.keys):
                motifs.append([])
            motifs[-1].append(token)
        keys, values = motifs[::2], motifs[1::2]
        assert all(len(motif) == len(set(motif)) <= 3 for motif in motifs) and len(keys) == len(values)
        sizes += map(len, keys)
        known = {}
        assert all(known.setdefault(tuple(key), value) == value for key, value in zip(keys[:-1], values, strict=False))
        at_the_end += tuple(keys[-1]) in known
        if split == "train":
            assert target[:-1] == ids[1:]
            continue
        asked, cell, seen = set(), start, set()
        for number, (key, value) in enumerate(zip(keys, values, strict=True)):
            cell += len(key)
            if tuple(key) in seen or number == len(keys) - 1:
                asked |= set(range(cell - 1, cell - 1 + len(value)))
            seen.add(tuple(key))
            cell += len(value)
        assert set(asked_of(target)) == asked
    assert at_the_end > 0.9 * 300
    assert set(sizes) == ({1, 2, 3} if split == "train" else {3})


@pytest.mark.parametrize(
    "spec",
    [FIGURE_2, README_PLOT, "copying", "mad-in-context-recall", "mad-noisy-recall", "mad-memorize", "mad-compress",
     "mad-selective-copy", "mad-fuzzy-recall"],
)  # fmt: skip
def test_the_oracle_is_right_wherever_a_sequence_tells(spec):
    found = ceilings(create(spec), count=1000).oracle.value
    assert found == 1 or (spec == "mad-fuzzy-recall" and found > 0.98)


def test_the_worked_examples_of_the_cards_are_sequences_of_their_tasks():
    task = create("mqar:length=16,pairs=2,vocabulary=12,random_non_queries=false")
    ids, target = [2, 8, 4, 7, 0, 0, 4, 0, 0, 0, 0, 0, 2, 0, 0, 0], {6: 7, 12: 8}
    samples = task.sample("train", 60_000, 0)
    (alike,) = np.nonzero((samples.symbols == ids).all(axis=1))
    assert len(alike) and asked_of(samples.target[alike[0]].tolist()) == target
    for spec, ids, target in (
        ("copying:letters=3,length=3,shortest=3,context=9", [3, 0, 2, 2, 4, 0, 2, 2], {4: 0, 5: 2, 6: 2, 7: 5}),
        ("mad-in-context-recall:length=8,vocabulary=6", [0, 4, 2, 3, 2, 3, 0], {4: 3, 6: 4}),
        ("mad-noisy-recall:length=8,vocabulary=8,noise_vocabulary=2", [0, 4, 7, 6, 2, 3, 0], {6: 4}),
        ("mad-selective-copy:length=11,tokens=3,vocabulary=6", [4, 2, 4, 4, 0, 4, 0, 5, 4, 4, 4], {8: 2, 9: 0, 10: 0}),
    ):
        samples = create(spec).sample("test", 60_000, 0)
        (alike,) = np.nonzero((samples.symbols == ids).all(axis=1))
        assert len(alike) and asked_of(samples.target[alike[0]].tolist()) == target, spec


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("mqar:pairs=17", "pairs=17 need 68 cells, got length=64; take 68"),
        ("mqar:vocabulary=8,pairs=4", "got vocabulary=8; take 10"),
        ("mqar:vocabulary=99", "got vocabulary=99; give an even number"),
        ("mqar:train=64x4", "got train='64x4'; for example"),
        ("copying:length=200", "got context=220; take 403 or more"),
        ("mad-in-context-recall:length=9", "got length=9; give an even number"),
        ("mad-noisy-recall:vocabulary=18", "got vocabulary=18; take 20 or more"),
        ("mad-selective-copy:tokens=128", "got length=256; take 258 or more"),
        ("mad-fuzzy-recall:vocabulary=6", "got vocabulary=6; take a larger one"),
        ("mad-fuzzy-recall:length=12", "got length=12; take 19 or more"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused_in_one_line(spec, rule):
    with pytest.raises(UserError, match=rule) as caught:
        create(spec)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"task {spec.partition(':')[0]}: ")
