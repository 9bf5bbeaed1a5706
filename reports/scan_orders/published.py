"""What others measured, as they report it."""

from __future__ import annotations

from ..text import table

REPORTED = (
    (
        "ImageNet, VMamba-T",
        "2401.10166",
        "Fig. 8: four scan patterns within 82.26 to 82.60 with depthwise convolution, 80.88 to 82.25 without",
    ),
    ("remote sensing segmentation", "2405.08493", "22 scan strategies, none wins"),
    (
        "BraTS20, ISLES22, LGG; 21 scans",
        "2507.13384",
        "they differ: Friedman chi2(20) = 43.9, p = .0016; up to 27 Dice; rasters beat diagonals",
    ),
    (
        "ImageNet, FMoW (REOrder)",
        "2505.23751",
        "Transformer-XL: columns +1.92 ± 0.21 points, spiral -6.43; a Mamba pretrained on rows loses with every other"
        " order",
    ),
    (
        "CPTAC-UCEC, 95 slides, 50 folds, 7 orders",
        "",
        "Transformer: snake .629, Hilbert .614, random .519; Mamba: Hilbert .596, snake .582; on another set Hilbert"
        " .711, random .713 (public study, unreviewed)",
    ),
    ("whole-slide images", "", "horizontal .870 ± .024, Hilbert .893 ± .019 (from a talk on arXiv 2602.12499)"),
)
"""(data and model, arXiv id or nothing, result)."""


def section() -> list[str]:
    """The table; nothing in it was run here."""
    rows = [
        {
            "data, model": data,
            "source": f"[arXiv {arxiv}](https://arxiv.org/abs/{arxiv})" if arxiv else "no arXiv id",
            "result": result,
            "": "reported",
        }
        for data, arxiv, result in REPORTED
    ]
    return [
        "## What others measured",
        "Reported by their authors, not run here. They disagree; confounds that they name: readout, positional"
        " encodings, depthwise convolution, truncation in file order, one learning rate for all, one seed.",
        table(rows),
    ]
