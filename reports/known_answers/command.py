"""`known-answers`: what the field has published about these tasks, run here, and a verdict on each claim."""

from harness.registry.study import Option

from ..designs import PackageStudy


class _KnownAnswers(PackageStudy):
    def wants(self, record):
        """A record of any claim's cells."""
        return self._module("study").is_asked(record)


STUDY = _KnownAnswers(
    name="known-answers",
    runs=("protocol", "standard"),
    sizes={
        "quick": "two steps of every cell, to see that it runs; no verdict uses them",
        "default": "the claims named, or those that run in minutes",
    },
    options=(
        Option("ids", "claims (default: those of --cost)"),
        Option("--cost", "minutes, hours or gpu (default: minutes, where no claim is named)"),
    ),
)
