"""`slides`: scan orders on whole slides, which are written to disk and read like any other."""

from harness.registry.study import Option

from ..designs import PackageStudy

STUDY = PackageStudy(
    name="slides",
    runs=("task", "wsi", "synthetic-slides"),
    sizes={
        "quick": "tiny slides, to see that everything works",
        "default": "600 slides, four mixers, four orders, five folds",
    },
    options=(Option("--folder", "where the slides go (default: slides)", default="slides"),),
)
