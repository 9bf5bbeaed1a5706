"""Training steps of every recurrent mixer in a whole model, through C++ operators and through torch operations.

    python tests/benchmarks/mixers.py                   the table, as docs/speed.md has it
    python tests/benchmarks/mixers.py -o docs/mixers.png    and the picture
    python -m pytest tests/benchmarks -k mixers --benchmark-only    fewer rounds, and every ratio with a name

One thread, float32, depth 2, width 64, length 256, batches of 32. All contenders take one step in turn, round after
round, so that what slows the machine for a while slows all of them. `before` is Mamba as it ran until its convolution
and its layout went into C++ too: mamba-ssm's own block around this project's scan, in the model of today. The floor is
the time that the model's counted operations, three times those of its forward pass, would take as one large matrix
product on this machine; what a mixer does elementwise is not in it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.analysis.tables import markdown_table
from harness.analysis.tolerances import NOISY_SPREAD
from harness.architectures.layers.mamba import Mamba
from harness.contracts.mixer import Mixer
from harness.registry.cells import Run, cell_from, protocol_of, task_of
from harness.running.worker_process import WORKER_ENVIRONMENT
from harness.store.provenance import processor
from harness.timing.memory import peak_bytes
from harness.timing.sampling import seconds_of, spread

BATCH, LENGTH, WIDTH, DEPTH = 32, 256, 64, 2
BASE, BEFORE = "mamba", "mamba before"
MIXERS = (
    BASE, "mamba2", "mamba3", "gated-deltanet", "rwkv7",
    "retnet", "gated-linear-attention", "linear-attention", "min-gru",
)  # fmt: skip
OTHERS = ("gated-ssm", "s4d", "lstm", "global-attention", "local-attention", "identity")
"""Without operators of their own here: the frame, and what a mixer is compared with."""

SIDE = 1024  # of the matrix product that gives the machine's rate


@contextmanager
def torch_operations() -> Iterator[None]:
    """Every operator in C++ is left aside."""
    os.environ["HARNESS_NO_CPP"] = "1"
    try:
        yield
    finally:
        del os.environ["HARNESS_NO_CPP"]


@dataclass
class Contender:
    """A training step, whose parts may be switched by `around`."""

    name: str
    step: Callable[[], Any]
    around: Callable[[], Any]
    flops: float
    peak: int
    samples: list[float] = field(default_factory=list)

    def sample(self) -> None:
        with self.around():
            self.samples.append(seconds_of(self.step))

    @property
    def seconds(self) -> float:
        return statistics.median(self.samples)


@contextmanager
def as_it_is() -> Iterator[None]:
    """Nothing is switched."""
    yield


def contender(name: str, around: Callable[[], Any] = as_it_is) -> Contender:
    """A mixer in a model of the standard protocol, its step tried once."""
    protocol = f"standard:width={WIDTH},depth={DEPTH},batch_size={BATCH}"
    cell = cell_from(f"locality:length={LENGTH}", BASE if name == BEFORE else name, "horizontal", protocol)
    timed = protocol_of(cell).timed_step(Run(cell=cell, seed=0), task_of(cell))
    if name == BEFORE:
        for module in timed.model.modules():
            if isinstance(module, Mamba):
                module.mix = types.MethodType(in_the_package, module)
    with around():
        for _ in range(2):
            timed.step()
        flops = 3 * forward_flops(timed.model, timed.batch)
        return Contender(name, timed.step, around, flops, peak_bytes(timed.step, "cpu"))


def in_the_package(mixer: Any, x: torch.Tensor) -> torch.Tensor:
    """mamba-ssm's map, whose scan is this project's wherever there is no GPU."""
    return mixer.block(x)


@torch.no_grad()
def forward_flops(model: torch.nn.Module, batch: Any) -> float:
    """Products as they run, scans by formula."""
    tokens, _, mask = batch
    with FlopCounterMode(display=False) as counter:
        model(tokens, mask)
    scans = [module.uncounted_flops(LENGTH) for module in model.modules() if isinstance(module, Mixer)]
    return counter.get_total_flops() + BATCH * sum(scans)


class MatrixProduct:
    """The machine's rate, sampled among the others."""

    def __init__(self) -> None:
        self.matrix = torch.randn(SIDE, SIDE)
        self.samples: list[float] = []

    def sample(self) -> None:
        self.samples.append(seconds_of(lambda: self.matrix @ self.matrix))

    @property
    def rate(self) -> float:
        """Operations a second."""
        return 2 * SIDE**3 / statistics.median(self.samples)


@dataclass
class Session:
    """All contenders of one session: in C++, in torch operations by mixer, and the machine's rate."""

    ours: dict[str, Contender]
    plain: dict[str, Contender]
    product: MatrixProduct

    @classmethod
    def of(cls, mixers: tuple[str, ...], others: tuple[str, ...], rounds: int) -> Session:
        torch.set_num_threads(1)
        has_package = any(isinstance(m, Mamba) and m.package for m in _mixers_of(BASE))
        names = (*mixers, *([BEFORE] if has_package else []), *others)
        ours = {name: contender(name) for name in names}
        plain = {name: contender(name, torch_operations) for name in mixers}
        session = cls(ours, plain, MatrixProduct())
        for _ in range(rounds):
            for each in (*ours.values(), *plain.values(), session.product):
                each.sample()
        return session

    def rows(self) -> list[dict[str, Any]]:
        """One a mixer; ratios are speeds over Mamba's."""
        base, before = self.ours[BASE].seconds, self.ours.get(BEFORE)
        rows = []
        for name, each in self.ours.items():
            plain = self.plain.get(name)
            rows.append({
                "mixer": name,
                "ms": 1e3 * each.seconds,
                "tokens_per_second": BATCH * LENGTH / each.seconds,
                "to_mamba": base / each.seconds,
                "to_mamba_before": before.seconds / each.seconds if before else None,
                "to_torch_operations": plain.seconds / each.seconds if plain else None,
                "of_the_floor": each.flops / self.product.rate / each.seconds,
                "torch_of_the_floor": each.flops / self.product.rate / plain.seconds if plain else None,
                "peak_mb": each.peak / 1e6,
                "torch_peak_mb": plain.peak / 1e6 if plain else None,
                "noisy": spread(each.samples) > NOISY_SPREAD,
            })  # fmt: skip
        return rows


def _mixers_of(name: str) -> list[torch.nn.Module]:
    cell = cell_from(f"locality:length={LENGTH}", name, "horizontal", "standard")
    return list(protocol_of(cell).build(cell, task_of(cell), seed=0).modules())


def as_table(session: Session) -> str:
    """Markdown."""

    def column(key: str, form: str, unit: str = "", scale: float = 1) -> list[str]:
        return ["" if row[key] is None else format(scale * row[key], form) + unit for row in rows]

    rows = session.rows()
    return markdown_table({
        "mixer": [row["mixer"] for row in rows],
        "ms a step": column("ms", ".0f"),
        "tokens/s": column("tokens_per_second", ".0f", "k", 1e-3),
        "of mamba's speed": column("to_mamba", ".2f"),
        "of mamba's before": column("to_mamba_before", ".2f"),
        "over torch operations": column("to_torch_operations", ".1f"),
        "of the floor": column("of_the_floor", ".0f", "%", 100),
        "peak MB": column("peak_mb", ".0f"),
        "torch operations' MB": column("torch_peak_mb", ".0f"),
        "note": ["noisy" if row["noisy"] else "" for row in rows],
    })  # fmt: skip


def draw(session: Session, path: str) -> None:
    """One pair of bars a mixer: how much of the machine's matrix product rate a training step reaches."""
    from matplotlib import pyplot

    rows = sorted((r for r in session.rows() if r["mixer"] != BEFORE), key=lambda row: row["of_the_floor"])
    figure, axes = pyplot.subplots(figsize=(7.5, 0.36 * len(rows) + 1.2), layout="constrained")
    for place, row in enumerate(rows):
        axes.barh(place + 0.2, 100 * row["of_the_floor"], 0.38, color="#0072B2", label="this project" * (place == 0))
        if row["torch_of_the_floor"] is not None:
            label = "" if "torch operations" in axes.get_legend_handles_labels()[1] else "torch operations"
            axes.barh(place - 0.2, 100 * row["torch_of_the_floor"], 0.38, color="#E69F00", label=label)
    axes.set_yticks(range(len(rows)), [row["mixer"] for row in rows])
    axes.set_xlabel("training step, % of the machine's matrix product rate")
    axes.legend(loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--output", metavar="FILE.png")
    options = parser.parse_args()
    if options.rounds < 3:
        raise SystemExit(f"error: --rounds is 3 or more, got {options.rounds}")
    session = Session.of(MIXERS, OTHERS, options.rounds)
    print(f"{processor()}, torch {torch.__version__}, one thread, float32, batch {BATCH}, length {LENGTH},"
          f" width {WIDTH}, depth {DEPTH}; medians of {options.rounds} interleaved rounds; matrix product"
          f" {session.product.rate / 1e9:.0f} GFLOP/s\n")  # fmt: skip
    print(as_table(session))
    if options.output:
        draw(session, options.output)


if __name__ == "__main__":
    if not WORKER_ENVIRONMENT.keys() <= os.environ.keys():
        # Without these, whoever makes large temporaries pays page faults on each: the harness's workers have them too.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **WORKER_ENVIRONMENT})
    main()
