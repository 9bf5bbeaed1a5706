"""Seeds as hashes of named parts, and generators made from them. There is no global generator anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_of(**parts: str | int) -> int:
    """A 63-bit seed that depends on every named part, and on nothing else.

    >>> seed_of(task="majority", split="train", seed=0) != seed_of(task="majority", split="test", seed=0)
    True
    """
    text = json.dumps(parts, sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int) -> np.random.Generator:
    """A numpy generator (Philox, counter-based, the same on every platform)."""
    return np.random.Generator(np.random.Philox(key=seed))


def normal_noise(seed: int, indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal noise, float32 [len(indices), *shape], a function of (seed, index) alone.

    Each sample owns a stretch of one Philox stream, so a sample's noise does not depend on the batch it comes in.
    """
    bits = np.random.Philox(key=seed)
    draw = np.random.Generator(bits)
    start = bits.state
    # A normal takes one 64-bit word nearly always; four times that, and the stretches never meet.
    words = 4 * int(np.prod(shape)) + 64
    noise = np.empty((len(indices), *shape), dtype=np.float32)
    for row, index in enumerate(indices):
        bits.state = start
        bits.advance(int(index) * words)
        draw.standard_normal(dtype=np.float32, out=noise[row])
    return noise


def normal_stretch(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal noise, float32, for tokens that are seen once: half the time of numpy's normals.

    Box and Muller's transform in float32, of which numpy has vector code; no draw is beyond 5.8.
    """
    count = int(np.prod(shape))
    half = -(-count // 2)
    words = np.random.SFC64(seed).random_raw(half).view(np.uint32)
    # Of 24 bits, and never 0.
    uniform = ((words[::2] >> np.uint32(8)) + np.uint32(1)).astype(np.float32) * np.float32(2**-24)
    radius = np.sqrt(np.float32(-2) * np.log(uniform))
    angle = words[1::2].astype(np.float32) * np.float32(2 * np.pi * 2**-32)
    noise = np.empty(2 * half, dtype=np.float32)
    np.multiply(radius, np.cos(angle), out=noise[:half])
    np.multiply(radius, np.sin(angle), out=noise[half:])
    return noise[:count].reshape(shape)


@contextmanager
def seeded_torch(generator: torch.Generator) -> Iterator[None]:
    """Let modules that initialize from torch's global generator (nn.Linear, mamba_ssm.Mamba) draw from `generator`.

    The global state is put back afterwards, so nothing outside notices.
    """
    import torch

    seed = int(torch.randint(0, 2**62, (), generator=generator).item())
    state = torch.get_rng_state()
    # Not torch.manual_seed: that would seed the generators of all accelerators too, and nothing would put them back.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
