"""When a timed path is wrong, and when its times are noisy: what sessions and pages judge by."""

from __future__ import annotations

NOISY_SPREAD = 0.15
"""An interquartile range beyond this share of the median is marked noisy."""

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
"""Largest difference from the float64 reference, relative to the reference's largest entry."""

ROUNDING = {"float32": 1.0, "tf32": 100.0, "bfloat16": 500.0}
"""How much coarser a format's products may be: tf32 keeps 10 bits of mantissa, bfloat16 7, float32 23."""


def agrees(output_error: float, gradient_error: float, *, dtype: str = "float32") -> bool:
    """Whether both errors are within the format's tolerance; NaN is not."""
    slack = ROUNDING[dtype]
    return output_error <= slack * OUTPUT_TOLERANCE and gradient_error <= min(0.2, slack * GRADIENT_TOLERANCE)
