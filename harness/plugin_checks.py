"""The contracts of `harness.contracts` and `harness.mixer`, held against an entry of anybody's.

Every check says in one line what the contract is, what was found and what to do; nothing here trains.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .contracts import Split
from .errors import Unsupported, UserError
from .registry import Entry
from .seeds import seed_of

WIDTH, LENGTH, CUT = 16, 33, 20
GRIDS = ((8, 8), (9, 9), (5, 7), (1, 9))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check of one entry came to. problem: None where it holds; skipped: why it was not tried."""

    entry: str
    rule: str
    problem: str | None = None
    skipped: str | None = None


Check = Callable[[Any], str | None]
"""What is wrong, and what to do about it; None where nothing is."""


def check_entry(entry: Entry) -> Iterator[Finding]:
    """Hold a task, an architecture or a scan to its contract, a rule at a time."""
    rules = {"task": TASK_RULES, "architecture": MIXER_RULES, "scan": SCAN_RULES}.get(entry.axis, {})
    for rule, check in rules.items():
        try:
            problem = check(entry)
        except (Unsupported, UserError) as error:  # a package or a parameter is missing: nothing can be said
            yield Finding(entry=entry.name, rule=rule, skipped=str(error))
            continue
        except Exception as error:
            problem = f"it raised {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        yield Finding(entry=entry.name, rule=rule, problem=problem)


def _task(entry: Entry) -> Any:
    return entry.create_light({name: parameter.default for name, parameter in entry.parameters.items()})


def _task_shapes(entry: Entry) -> str | None:
    task = _task(entry)
    samples = task.sample("train", 12, 3)
    count = len(samples)
    batch = samples.batch(np.arange(count))
    if not 1 <= count <= 12:
        return f"sample(split, 12, seed) must give 1 to 12 samples, got {count}"
    cells = int(samples.lengths.max()) if samples.lengths is not None else task.cells
    expected = (count, cells, task.features)
    if batch.tokens.shape != expected or batch.tokens.dtype != np.float32:
        return f"tokens must be float32 {list(expected)}, got {batch.tokens.dtype} {list(batch.tokens.shape)}"
    if not np.isfinite(batch.tokens).all():
        return "tokens must be finite"
    if batch.target.dtype != np.int64 or batch.target.max() >= task.classes:
        return f"target must be int64 below classes={task.classes}, got {batch.target.dtype} up to {batch.target.max()}"
    if batch.mask is not None and (batch.mask.dtype != bool or batch.mask.shape != (count, cells)):
        return f"mask must be bool {[count, cells]}, got {batch.mask.dtype} {list(batch.mask.shape)}"
    if task.irregular and (batch.places is None or batch.places.shape != (count, cells, 2)):
        found = "none" if batch.places is None else list(batch.places.shape)
        return f"an irregular task must say where cells lie, places {[count, cells, 2]}, got {found}"
    return None


def _task_seeds(entry: Entry) -> str | None:
    def tokens(split: Split) -> np.ndarray:
        seed = seed_of(kind="data", task=entry.name, split=split, seed=3)  # as a run seeds it: by split too
        return _task(entry).sample(split, 8, seed).batch(np.arange(8)).tokens

    if not np.array_equal(tokens("train"), tokens("train")):
        return "the same split and seed must give the same samples; draw from the seed alone, never from a global state"
    for split in ("validation", "test"):
        if np.array_equal(tokens("train"), tokens(split)):
            return (
                f"train and {split} must be separate draws; let the seed, which differs by split, decide what is drawn"
            )
    return None


def _task_batches(entry: Entry) -> str | None:
    samples = _task(entry).sample("train", 16, 3)
    last = len(samples) - 1
    picked = np.array([last, 0, last])
    whole, some = samples.batch(np.arange(len(samples))).tokens[picked], samples.batch(picked).tokens
    cells = some.shape[1]  # of irregular sequences a batch is as long as its longest
    if not np.array_equal(whole[:, :cells], some) or whole[:, cells:].any():
        return "sample i must look the same in any batch; let its noise depend on i, not on the batch"
    return None


TASK_RULES: dict[str, Check] = {
    "a batch has the declared shapes and types": _task_shapes,
    "seeds and splits decide the samples": _task_seeds,
    "a sample looks the same in any batch": _task_batches,
}


def _scan_routes(entry: Entry) -> str | None:
    scan = entry.create_light({name: parameter.default for name, parameter in entry.parameters.items()})
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


SCAN_RULES: dict[str, Check] = {"every route visits every cell once": _scan_routes}


def _mixer(entry: Entry, seed: int = 0, dtype: Any = None, *, moved: bool = False) -> Any:
    import torch

    values = {name: parameter.default for name, parameter in entry.parameters.items()}
    generator = torch.Generator().manual_seed(seed)
    made = entry.create(values, width=WIDTH, length=LENGTH, grid=(1, LENGTH), generator=generator)
    made = made.to(dtype or torch.float64)
    if moved:  # off the initial value, where much is zero
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return made


def _tokens(batch: int = 2, length: int = LENGTH) -> Any:
    import torch

    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _mixer_shape(entry: Entry) -> str | None:
    import torch

    from .mixer import Mixer

    for dtype in (torch.float32, torch.float64):
        mixer = _mixer(entry, dtype=dtype)
        if not isinstance(mixer, Mixer):
            return f"the factory must return a harness.mixer.Mixer, got {type(mixer).__name__}"
        for shape in ((1, 1), (3, LENGTH)):
            x = _tokens(*shape).to(dtype).requires_grad_()
            y = mixer(x)
            if y.shape != x.shape or y.dtype != dtype:
                return f"a call must keep {list(x.shape)} {dtype}, got {list(y.shape)} {y.dtype}"
            y.square().sum().backward()
            if not y.isfinite().all() or x.grad is None or not x.grad.isfinite().all():
                return f"outputs and gradients must be finite, they are not at batch {shape[0]}, length {shape[1]}"
    return None


def _mixer_seeds(entry: Entry) -> str | None:
    import torch

    before = torch.get_rng_state()
    first, again = _mixer(entry, 3), _mixer(entry, 3)
    if not torch.equal(torch.get_rng_state(), before):
        return (
            "torch's global generator must be left alone; draw from `generator`, or inside harness.seeds.seeded_torch"
        )
    if not torch.equal(first(_tokens()), again(_tokens())):
        return "one seed must give one mixer; draw every initial value from `generator`"
    return None


def _mixer_causal(entry: Entry) -> str | None:
    mixer, x = _mixer(entry, moved=True), _tokens()
    changed = x.clone()
    changed[:, CUT:] += 1
    moved = float((mixer(x) - mixer(changed)).detach()[:, :CUT].abs().max())
    if mixer.causal and moved > 1e-9:
        return f"causal=True, yet a change of later steps moves earlier outputs by {moved:.1e}; mend it or say False"
    if not mixer.causal and moved < 1e-9:
        return "causal=False, yet later steps never reach earlier outputs; say causal = True"
    return None


def _mixer_padding(entry: Entry) -> str | None:
    import torch

    mixer, x = _mixer(entry, moved=True), _tokens(length=9)
    padded = torch.cat([x, torch.full((2, 7, WIDTH), 1e30, dtype=x.dtype)], dim=1)
    mask = (torch.arange(16) < 9).expand(2, -1)
    bare, found = mixer(x), mixer(padded, mask)[:, :9]
    if not torch.allclose(bare, found, rtol=1e-7, atol=1e-9):
        worst = float((bare - found).detach().abs().max())
        return (
            f"right padding must not change a real step, it moved one by {worst:.1e}; keep padded steps out by `mask`"
        )
    return None


def _mixer_reference(entry: Entry) -> str | None:
    import torch

    mixer, x = _mixer(entry, moved=True), _tokens()
    plain = copy.deepcopy(mixer).reference(x)
    found = mixer(x)
    if not torch.allclose(found, plain, rtol=1e-6, atol=1e-8):
        worst = float((found - plain).detach().abs().max())
        return f"forward and reference must be one map, in float64 they differ by {worst:.1e}"
    return None


def _mixer_kernel(entry: Entry) -> str | None:
    mixer = _mixer(entry)
    mixer(_tokens())
    package, _, rest = mixer.kernel.partition(" ")
    if not (package and "/" in rest):
        return f"kernel must name what ran as 'package version/path', got {mixer.kernel!r}"
    return None


MIXER_RULES: dict[str, Check] = {
    "it keeps the shape, and outputs and gradients are finite": _mixer_shape,
    "one seed gives one mixer": _mixer_seeds,
    "it is causal exactly where it says so": _mixer_causal,
    "padding changes nothing": _mixer_padding,
    "the fast path is the reference": _mixer_reference,
    "it names its kernel": _mixer_kernel,
}
