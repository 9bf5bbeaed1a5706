"""What a user would otherwise pick for Mamba's scan and for attention in a window, timed side by side.

    python tests/benchmarks/side_by_side.py
    python tests/benchmarks/side_by_side.py --scan 64x64x128x16 --scan 8x1024x256x16 --attention 4x4x1024x16:16

One thread, float32, forward and backward to every input. Each contender is first compared with a float64 reference, in
output and gradients, and gets no speed where it differs; then all take samples in turn, round after round. Ratios are
speeds over the first contender's: larger is faster. Compiling counts for no speed; its seconds stand in the note. What
takes over 4 s a call is run once, and over 10 s not beyond a quarter of the length. Contenders whose package is missing
are named with the reason. Below each scan: the machine's own floor (scan_floor.py), and how near this project's comes.
"""

from __future__ import annotations

import argparse
import os
import re
import sys

import torch
from attention_contenders import attentions, naive_attention
from comparison import Problem, compare, table
from scan_contenders import SCANS, first_steps, scan_inputs
from scan_floor import Floor, probe

from harness.architectures.ops.selective_scan import selective_scan_reference
from harness.running.worker_process import WORKER_ENVIRONMENT
from harness.store.provenance import processor

DEFAULT_SCANS = ("64x64x128x16", "8x256x64x16", "32x256x256x16", "8x1024x256x16")
DEFAULT_ATTENTIONS = ("4x4x256x16:8", "4x4x1024x16:16")
LARGE_ELEMENTS = 1 << 24
"""Scans of more steps x channels x states are tried on a quarter of the length first."""


def scan_comparison(batch: int, length: int, channels: int, state: int, rounds: int) -> str:
    """All scans at one shape, as Markdown."""
    inputs = scan_inputs(batch, length, channels, state)
    large = batch * length * channels * state > LARGE_ELEMENTS
    problem = Problem(
        reference=selective_scan_reference,
        inputs=inputs,
        tokens=batch * length,
        shorter=first_steps(inputs, length // 4) if large else None,
        part=length // 4 / length if large else 1.0,
    )
    floor = Floor(batch, length, channels, state) if probe() else None
    entries, missing = compare(SCANS, problem, rounds, floor.sample if floor else lambda: None)
    lines = [table(entries, problem.tokens), "", *(f"- {line}" for line in missing)]
    ours = next((entry for entry in entries if "(cpp)" in entry.name), None)
    if floor and ours:
        lines += [floor.text(ours.name, ours.samples)]
    return "\n".join(lines)


def attention_comparison(batch: int, heads: int, length: int, channels: int, window: int, rounds: int) -> str:
    """All attentions at one shape, as Markdown."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(batch, heads, length, channels, generator=generator) for _ in range(3)]
    problem = Problem(reference=naive_attention(length, window), inputs=inputs, tokens=batch * length)
    entries, missing = compare(attentions(length, window), problem, rounds)
    return "\n".join([table(entries, problem.tokens), "", *(f"- {line}" for line in missing)])


def numbers(text: str, pattern: str, form: str) -> list[int]:
    match = re.fullmatch(pattern, text)
    if match is None or not all(map(int, match.groups())):
        raise SystemExit(f"error: a shape is {form}, got {text!r}")
    return [int(group) for group in match.groups()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scan", action="append", metavar="BxLxDxN", help="batch, length, channels, state")
    parser.add_argument(
        "--attention", action="append", metavar="BxHxLxC:W", help="batch, heads, length, channels: window"
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.rounds < 3:
        raise SystemExit(f"error: --rounds is 3 or more, got {options.rounds}")
    default = options.scan is None and options.attention is None
    scans = [
        numbers(text, r"(\d+)x(\d+)x(\d+)x(\d+)", "BATCHxLENGTHxCHANNELSxSTATE")
        for text in (DEFAULT_SCANS if default else options.scan or [])
    ]
    attention_shapes = [
        numbers(text, r"(\d+)x(\d+)x(\d+)x(\d+):(\d+)", "BATCHxHEADSxLENGTHxCHANNELS:WINDOW")
        for text in (DEFAULT_ATTENTIONS if default else options.attention or [])
    ]
    torch.set_num_threads(1)
    print(f"{processor()}, torch {torch.__version__}, one thread, float32, {options.rounds} interleaved rounds\n")
    for batch, length, channels, state in scans:
        print(f"Mamba's scan, batch {batch}, length {length}, channels {channels}, state {state}; training\n")
        print(scan_comparison(batch, length, channels, state, options.rounds) + "\n", flush=True)
    for batch, heads, length, channels, window in attention_shapes:
        print(f"attention, batch {batch}, heads {heads}, length {length}, channels {channels}, window {window}\n")
        print(attention_comparison(batch, heads, length, channels, window, options.rounds) + "\n", flush=True)


if __name__ == "__main__":
    if not WORKER_ENVIRONMENT.keys() <= os.environ.keys():
        # Without these, whoever makes large temporaries pays page faults on each: the harness's workers have them too.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **WORKER_ENVIRONMENT})
    main()
