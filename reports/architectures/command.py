"""`architectures`: what every architecture can do, in the same few places."""

from ..designs import PackageStudy

STUDY = PackageStudy(
    name="architectures",
    runs=("protocol", "standard"),
    sizes={
        "quick": "a minute or two, to see that everything works",
        "default": "every architecture in six places, at equal width",
        "full": "also at equal parameters and state, three times as long, and more of recall",
    },
)
