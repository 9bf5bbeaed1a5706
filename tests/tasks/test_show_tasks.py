import sys

import pytest
from skimage import io

from harness.__main__ import main


@pytest.mark.parametrize(
    ("spec", "lines"),
    [("histology", 2), ("textures", 3), ("digits", 5), ("faces", 2), ("locality2d", 2), ("synthetic-slides", 2)],
)
def test_a_card_draws_a_line_of_examples_for_each_of_up_to_five_classes(tmp_path, capsys, spec, lines):
    path = tmp_path / "examples.png"
    assert main(["show", spec, "-o", str(path)]) == 0
    assert "chance" in capsys.readouterr().out
    assert io.imread(path).shape[:2] == (330 * lines, 1200)


def test_pictures_in_colour_are_drawn_in_colour(tmp_path, capsys):
    path = tmp_path / "examples.png"
    assert main(["show", "histology", "-o", str(path)]) == 0
    picture = io.imread(path)[..., :3].astype(int)
    assert (picture.max(axis=2) - picture.min(axis=2) > 40).mean() > 0.05


def test_a_card_of_what_cannot_run_here_is_one_line(monkeypatch, capsys):
    from harness.tasks import digits

    monkeypatch.setattr(digits, "_images", digits._images.__wrapped__)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert main(["show", "digits"]) == 2
    message = capsys.readouterr().err
    assert "pip install scikit-learn" in message and message.count("\n") == 1
