"""What a task, a scan, an architecture and a protocol owe the harness; everything a plug-in needs but its registry.

`harness.contracts.mixer` needs torch, and few need `harness.contracts.protocol`: they are imported by their own names.
"""

from .errors import Unsupported, UserError
from .scan import Merge, Order, Scan, Segments, one_sequence
from .task import IGNORE_INDEX, Batch, Grid, Samples, Split, Task

__all__ = [
    "IGNORE_INDEX", "Batch", "Grid", "Merge", "Order", "Samples", "Scan", "Segments", "Split", "Task", "Unsupported",
    "UserError", "one_sequence",
]  # fmt: skip
