"""Eight snakes, one a layer, as in ZigMa."""

from __future__ import annotations

from harness.contracts import Order, Scan
from harness.contracts.routes import flipped_order, transposed_order
from harness.registry import scans

from .snake import snake_order


def snakes() -> tuple[Order, ...]:
    """From each corner the snake along rows, then the one along columns: the eight symmetries of the square."""

    def upside_down(order: Order) -> Order:
        return transposed_order(flipped_order(transposed_order(order)))

    along_rows = (
        snake_order,
        flipped_order(snake_order),
        upside_down(snake_order),
        upside_down(flipped_order(snake_order)),
    )
    along_columns = tuple(
        transposed_order(order) for order in (along_rows[0], along_rows[2], along_rows[1], along_rows[3])
    )
    return tuple(order for pair in zip(along_rows, along_columns, strict=True) for order in pair)


@scans.register("zigma8", version=1)
def zigma8() -> Scan:
    """Eight snakes, by rows and by columns from every corner; each layer follows one, in turn.

    A model of fewer than eight layers follows the first ones only: one layer is the plain snake.

    Source: V. T. Hu et al., "ZigMa: A DiT-style zigzag Mamba diffusion model", arXiv 2403.13802.
    """
    return Scan(orders=snakes(), per_layer=True)
