"""Picture files as arrays of a given size and number of channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from einops import rearrange

from ._files import reading
from ._image_sets import unit

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def read_picture(path: Path, *, subject: str) -> np.ndarray:
    """Pixels float32 [height, width, 1 to 4 channels], 0 black and 1 white.

    Raises:
        UserError: no picture, or more than one.
    """
    from skimage import io

    with reading(path, subject=subject):
        pixels = unit(io.imread(path))
        pixels = pixels[0] if pixels.ndim == 4 and len(pixels) == 1 else pixels
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or not np.isfinite(pixels).all():
            shape = " x ".join(map(str, pixels.shape))
            raise ValueError(f"its {shape} values are no single picture of 1 to 4 finite channels")
        if path.suffix.lower() in (".jpg", ".jpeg") and pixels.shape[2] == 4:
            raise ValueError("the four channels of a JPEG are inks (CMYK), which have to be converted to RGB")
    return pixels


def fit_picture(pixels: np.ndarray, channels: int, size: tuple[int, int]) -> np.ndarray:
    """Convert and resize pixels [height, width, 1 to 4]: float32 [channels, *size].

    Two and four channels have their opacity last. channels: 1 luminance, 3 colours, 4 colours and opacity.
    """
    from skimage.color import rgb2gray
    from skimage.transform import resize

    opaque = pixels.shape[2] % 2 == 1
    colours = pixels if opaque else pixels[..., :-1]
    opacity = np.ones_like(pixels[..., :1]) if opaque else pixels[..., -1:]
    if channels == 1 and colours.shape[2] == 3:
        colours = rgb2gray(colours)[..., None]
    if channels > 1 and colours.shape[2] == 1:
        colours = np.repeat(colours, 3, axis=2)
    if channels == 4:
        colours = np.concatenate([colours, opacity], axis=2)
    if colours.shape[:2] != size:
        shrinks = any(new < old for new, old in zip(size, colours.shape, strict=False))
        colours = resize(colours, size, anti_aliasing=shrinks)
    return np.ascontiguousarray(rearrange(colours, "y x channels -> channels y x"), dtype=np.float32)
