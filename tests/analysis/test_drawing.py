import numpy as np
import pytest

from harness.analysis.drawing import draw_png, draw_text
from harness.registry.routing import scan_from


def routes_of(text, grid):
    return scan_from(text)[2].routes(grid)


def test_a_connected_route_is_a_line_from_start_to_end():
    assert draw_text(routes_of("snake", (2, 3))[0], (2, 3)) == "●───┐\n■───┘"


def test_slanted_steps_are_drawn_from_cell_to_cell():
    drawing = draw_text(routes_of("zigzag", (3, 3))[0], (3, 3))
    assert drawing.splitlines() == ["●─╴ ╷", " ╱ ╱│", "╷ ╱ ╵", "│╱ ╱", "╵ ╶─■"]


def test_a_route_that_jumps_shows_its_steps():
    assert draw_text(routes_of("horizontal", (2, 4))[0], (2, 4)) == "0 1 2 3\n4 5 6 7"


@pytest.mark.parametrize("text", ["hilbert", "random", "spiral"])
@pytest.mark.parametrize("grid", [(1, 1), (1, 30), (30, 1), (8, 8), (40, 64), (200, 300)])
def test_a_drawing_is_never_wider_than_the_terminal(text, grid):
    drawing = draw_text(routes_of(text, grid)[0], grid, columns=72)
    assert drawing
    assert max(len(line) for line in drawing.splitlines()) <= 72


@pytest.mark.parametrize(
    ("text", "grid"), [("hilbert", (8, 8)), ("cross", (3, 9)), ("random", (1, 5)), ("spiral", (1, 1))]
)
def test_a_picture_is_drawn(tmp_path, text, grid):
    path = tmp_path / "route.png"
    draw_png(routes_of(text, grid), grid, path, title=text)
    from matplotlib.image import imread

    pixels = imread(path)
    assert min(pixels.shape[:2]) > 100
    assert np.ptp(pixels[..., :3]) > 0.5
