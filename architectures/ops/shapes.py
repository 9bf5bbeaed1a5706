"""Shapes of what the recurrences take and give."""

from __future__ import annotations

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

Keys: TypeAlias = Float[Tensor, "batch heads length state"]
"""Keys, queries, and what else has a number for each row of a head's state."""

Values: TypeAlias = Float[Tensor, "batch heads length channels"]
"""Values and outputs: a number for each column of a head's state."""

Scalars: TypeAlias = Float[Tensor, "batch heads length"]
"""A number a head and step."""
