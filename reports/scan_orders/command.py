"""`scan-orders`: which scan order, for which architecture and task."""

from ..designs import PackageStudy

STUDY = PackageStudy(
    name="scan-orders",
    runs=("protocol", "standard"),
    sizes={
        "quick": "a minute, to see that everything works",
        "default": "six orders, four architectures, four tasks",
        "full": "every order and task, more architectures, readout=last, three difficulties",
    },
)
