"""`paper`: the figures, tables and theorems of arXiv 2602.12499, run, judged and written up."""

from harness.registry.study import Option

from ..designs import PackageStudy

STUDY = PackageStudy(
    name="paper",
    runs=("protocol", "paper"),
    sizes={"quick": "10 trials of every point", "default": "100 trials of every point"},
    options=(Option("ids", "experiments (default: all of them)"),),
)
