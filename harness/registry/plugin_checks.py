"""The contracts of `harness.contracts`, held against an entry of anybody's.

Every check says in one line what the contract is, what was found and what to do; nothing here trains.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from harness.contracts import IGNORE_INDEX, Split, Task
from harness.contracts.errors import Unsupported, UserError
from harness.contracts.mixer import Mask, Mixer
from harness.contracts.protocol import Protocol
from harness.contracts.seeds import seed_of

from .cells import cell_from, parse_task
from .entries import Entry
from .parameters import Value
from .specs import format_spec

WIDTH, LENGTH, CUT = 16, 33, 20
GRIDS = ((8, 8), (9, 9), (5, 7), (1, 9))
SMALL = ("majority:length=8", "identity", "horizontal")
"""The task, architecture and scan with which a protocol is tried."""

Values: TypeAlias = dict[str, Value]
Check: TypeAlias = Callable[[Entry, Values], str | None]
"""What is wrong, and what to do about it; None where nothing is."""

RULES: dict[str, dict[str, Check]] = {}
"""axis -> what it promises -> the check."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check of one entry came to. problem: None where it holds; skipped: why it was not tried."""

    entry: str
    rule: str
    problem: str | None = None
    skipped: str | None = None


def check_entry(entry: Entry, values: Values | None = None) -> Iterator[Finding]:
    """Hold an entry to the contract of its axis, a rule at a time; with its defaults where no values are given."""
    values = entry.resolve({}) if values is None else values
    for rule, check in RULES[entry.axis].items():
        try:
            problem = check(entry, values)
        except (Unsupported, UserError) as error:  # a package or a parameter is missing: nothing can be said
            yield Finding(entry=entry.name, rule=rule, skipped=str(error))
            continue
        except Exception as error:
            problem = f"it raised {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        yield Finding(entry=entry.name, rule=rule, problem=problem)


def _promises(axis: str, rule: str) -> Callable[[Check], Check]:
    def decorate(check: Check) -> Check:
        RULES.setdefault(axis, {})[rule] = check
        return check

    return decorate


@_promises("task", "a batch has the declared shapes and types")
def _task_shapes(entry: Entry, values: Values) -> str | None:
    task: Task = entry.create_light(values)
    samples = task.sample("train", 12, 3)
    count = len(samples)
    batch = samples.batch(np.arange(count))
    if not 1 <= count <= 12:
        return f"sample(split, 12, seed) must give 1 to 12 samples, got {count}"
    cells = int(samples.lengths.max()) if samples.lengths is not None else task.cells
    expected = (count, cells, task.features)
    kind = np.int64 if task.vocabulary else np.float32
    if batch.tokens.shape != expected or batch.tokens.dtype != kind:
        wanted = f"{np.dtype(kind)} {list(expected)}"
        return f"tokens must be {wanted}, got {batch.tokens.dtype} {list(batch.tokens.shape)}"
    if task.vocabulary and (task.features != 1 or not 0 <= batch.tokens.min() <= batch.tokens.max() < task.vocabulary):
        found = f"features={task.features} and ids from {batch.tokens.min()} to {batch.tokens.max()}"
        return f"ids must be from 0, below vocabulary={task.vocabulary}, and features 1, got {found}"
    if not np.isfinite(batch.tokens).all():
        return "tokens must be finite"
    asked = (count, cells) if task.per_token_targets else (count,)
    if batch.target.shape != asked or not np.array_equal(batch.target, samples.target):
        return f"targets must be those of the samples, {list(asked)}, got {list(batch.target.shape)}"
    least = IGNORE_INDEX if task.per_token_targets else 0
    if batch.target.dtype != np.int64 or batch.target.min() < least or batch.target.max() >= task.classes:
        found = f"{batch.target.dtype} from {batch.target.min()} to {batch.target.max()}"
        return f"target must be int64 from {least}, below classes={task.classes}, got {found}"
    if batch.mask is not None and (batch.mask.dtype != bool or batch.mask.shape != (count, cells)):
        return f"mask must be bool {[count, cells]}, got {batch.mask.dtype} {list(batch.mask.shape)}"
    if task.irregular and (batch.coords is None or batch.coords.shape != (count, cells, 2)):
        found = "none" if batch.coords is None else list(batch.coords.shape)
        return f"an irregular task must say where cells lie, coords {[count, cells, 2]}, got {found}"
    return None


@_promises("task", "seeds and splits decide the samples")
def _task_seeds(entry: Entry, values: Values) -> str | None:
    def tokens(split: Split) -> np.ndarray:
        seed = seed_of(kind="data", task=entry.name, split=split, seed=3)  # as a run seeds it: by split too
        return entry.create_light(values).sample(split, 8, seed).batch(np.arange(8)).tokens

    if not np.array_equal(tokens("train"), tokens("train")):
        return "the same split and seed must give the same samples; draw from the seed alone, never from a global state"
    advice = "let the seed, which differs by split, decide what is drawn"
    for split in ("validation", "test"):
        if np.array_equal(tokens("train"), tokens(split)):
            return f"train and {split} must be separate draws; {advice}"
    return None


@_promises("task", "a sample looks the same in any batch")
def _task_batches(entry: Entry, values: Values) -> str | None:
    samples = entry.create_light(values).sample("train", 16, 3)
    last = len(samples) - 1
    picked = np.array([last, 0, last])
    whole, some = samples.batch(np.arange(len(samples))).tokens[picked], samples.batch(picked).tokens
    cells = some.shape[1]  # of irregular sequences a batch is as long as its longest
    if not np.array_equal(whole[:, :cells], some) or whole[:, cells:].any():
        return "sample i must look the same in any batch; let its noise depend on i, not on the batch"
    return None


@_promises("scan", "every route visits every cell once")
def _scan_routes(entry: Entry, values: Values) -> str | None:
    scan = entry.create_light(values)
    fitting = 0
    for grid in GRIDS:
        cells = grid[0] * grid[1]
        try:
            routes = scan.routes(grid)
        except Unsupported:
            continue
        fitting += 1
        if routes.shape[1] != cells or not (np.sort(routes, axis=1) == np.arange(cells)).all():
            return f"every route must visit each cell of {grid[0]}x{grid[1]} once; got {routes.tolist()[0][:12]}..."
        if not np.array_equal(routes, scan.routes(grid)):
            return f"the same grid must give the same routes again, {grid[0]}x{grid[1]} did not"
        if sum(scan.segment_lengths(grid)) != cells:
            return f"segments must add up to the cells of {grid[0]}x{grid[1]}, got {list(scan.segment_lengths(grid))}"
    if not fitting:
        raise Unsupported(f"it fits none of the grids {', '.join(f'{h}x{w}' for h, w in GRIDS)}", "nothing was checked")
    return None


def _mixer(
    entry: Entry, values: Values, seed: int = 0, dtype: torch.dtype = torch.float64, *, moved: bool = False
) -> Any:
    generator = torch.Generator().manual_seed(seed)
    made = entry.create(values, width=WIDTH, length=LENGTH, grid=(1, LENGTH), generator=generator)
    made = made.to(dtype)
    if moved:  # off the initial value, where much is zero
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return made


def _tokens(batch: int = 2, length: int = LENGTH) -> Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _mixed(call: Callable[..., Tensor], x: Tensor, mask: Mask = None) -> Tensor:
    """What a mixer, or its reference, makes of tokens that stand on a grid eight cells wide."""
    step = torch.arange(x.shape[1])
    return call(x, mask, torch.stack([step // 8, step % 8], dim=-1)[None])


def _largest(difference: Tensor) -> float:
    return float(difference.detach().abs().max())


@_promises("architecture", "it keeps the shape, and outputs and gradients are finite")
def _mixer_shape(entry: Entry, values: Values) -> str | None:
    for dtype in (torch.float32, torch.float64):
        mixer = _mixer(entry, values, dtype=dtype)
        if not isinstance(mixer, Mixer):
            return f"the factory must return a harness.contracts.mixer.Mixer, got {type(mixer).__name__}"
        for shape in ((1, 1), (3, LENGTH)):
            x = _tokens(*shape).to(dtype).requires_grad_()
            y = _mixed(mixer, x)
            if y.shape != x.shape or y.dtype != dtype:
                return f"a call must keep {list(x.shape)} {dtype}, got {list(y.shape)} {y.dtype}"
            y.square().sum().backward()
            gradients = [x.grad, *(parameter.grad for parameter in mixer.parameters())]
            if not all(numbers is None or numbers.isfinite().all() for numbers in (y, *gradients)):
                return f"outputs and gradients must be finite, they are not at batch {shape[0]}, length {shape[1]}"
    return None


@_promises("architecture", "one seed gives one mixer")
def _mixer_seeds(entry: Entry, values: Values) -> str | None:
    before, advice = torch.get_rng_state(), "draw from `generator`, or inside contracts.seeds.seeded_torch"
    first, again = _mixer(entry, values, 3), _mixer(entry, values, 3)
    if not torch.equal(torch.get_rng_state(), before):
        return f"torch's global generator must be left alone; {advice}"
    if not torch.equal(_mixed(first, _tokens()), _mixed(again, _tokens())):
        return "one seed must give one mixer; draw every initial value from `generator`"
    return None


@_promises("architecture", "it is causal exactly where it says so")
def _mixer_causal(entry: Entry, values: Values) -> str | None:
    mixer, x = _mixer(entry, values, moved=True), _tokens()
    changed = x.clone()
    changed[:, CUT:] += 1
    moved = _largest((_mixed(mixer, x) - _mixed(mixer, changed))[:, :CUT])
    moves, never = "a change of later steps moves earlier outputs", "later steps never reach earlier outputs"
    return _claim("causal", mixer.causal, moved, moves, never)


def _claim(name: str, said: bool, moved: float, moves: str, never: str) -> str | None:
    """What is wrong with a mixer's saying that outputs are not moved, or that they are."""
    if said and moved > 1e-9:
        return f"{name}=True, yet {moves} by {moved:.1e}; mend it or say False"
    return f"{name}=False, yet {never}; say {name} = True" if not said and moved < 1e-9 else None


@_promises("architecture", "it is permutation-equivariant exactly where it says so")
def _mixer_permuted(entry: Entry, values: Values) -> str | None:
    mixer, x = _mixer(entry, values, moved=True), _tokens()
    order = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(2))
    y = _mixed(mixer, x)
    moved = _largest(y[:, order] - _mixed(mixer, x[:, order])) / max(_largest(y), 1e-30)
    moves, never = "another order moves outputs", "the order of steps changes nothing"
    return _claim("permutation_equivariant", mixer.permutation_equivariant, moved, moves, never)


@_promises("architecture", "padding changes nothing")
def _mixer_padding(entry: Entry, values: Values) -> str | None:
    mixer, x = _mixer(entry, values, moved=True), _tokens(length=9)
    padded = torch.cat([x, torch.full((2, 7, WIDTH), 1e30, dtype=x.dtype)], dim=1)
    mask = (torch.arange(16) < 9).expand(2, -1)
    bare, found = _mixed(mixer, x), _mixed(mixer, padded, mask)[:, :9]
    if not torch.allclose(bare, found, rtol=1e-7, atol=1e-9):
        worst = _largest(bare - found)
        return f"right padding must not change a real step, it moved one by {worst:.1e}; keep padded steps out"
    return None


@_promises("architecture", "the fast path is the reference")
def _mixer_reference(entry: Entry, values: Values) -> str | None:
    mixer, x = _mixer(entry, values, moved=True), _tokens()
    plain, found = _mixed(copy.deepcopy(mixer).reference, x), _mixed(mixer, x)
    if not torch.allclose(found, plain, rtol=1e-6, atol=1e-8):
        return f"forward and reference must be one map, in float64 they differ by {_largest(found - plain):.1e}"
    return None


@_promises("architecture", "it names its kernel")
def _mixer_kernel(entry: Entry, values: Values) -> str | None:
    mixer = _mixer(entry, values)
    _mixed(mixer, _tokens())
    package, _, rest = mixer.kernel.partition(" ")
    if not (package and all(rest.partition("/"))) or "not run" in rest:
        return f"kernel must name what ran as 'package version/path', got {mixer.kernel!r}"
    return None


@_promises("protocol", "its learning rate is a parameter and leaves the initial model alone")
def _protocol_model(entry: Entry, values: Values) -> str | None:
    protocol = entry.create_light(values)
    if not isinstance(protocol, Protocol):
        return f"the factory must return a harness.contracts.protocol.Protocol, got {type(protocol).__name__}"
    if "learning_rate" not in entry.parameters:
        return "learning_rate must be a parameter, which tuning sets; declare it"
    task, architecture, scan = SMALL
    weights = []
    for rate in (protocol.learning_rate, protocol.learning_rate * protocol.tuning_factors[0]):
        tried = {**values, "learning_rate": rate}
        cell = cell_from(task, architecture, scan, format_spec(entry.canonical(tried)))
        model = entry.create_light(tried).build(cell, parse_task(cell.task), seed=3)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    if not torch.equal(*weights):
        return "one seed must give one model whatever the learning rate; initialize from the seed alone"
    return None
