"""`slides`: feature bags checked; scan orders on slides from disk, as one resumable study and its page."""

from __future__ import annotations

import argparse

from ._page_command import PageCommand


def _check(options: argparse.Namespace) -> int:
    from harness.tasks.slides.collection import bag_folder, inspect_all  # pyright: ignore[reportMissingImports]

    folder = bag_folder(options.root, subject="slides check")
    bags, bad = inspect_all(sorted(folder.glob("*.h5")), thorough=True)
    for error in bad:
        print(f"bad: {error}")
    for bag in bags.values():
        if bag.off_lattice or bag.collisions:
            off = f"{bag.off_lattice:,} of {bag.tiles:,} tiles off the lattice of most (step {bag.step})"
            print(f"{bag.slide}: {off}, {bag.collisions:,} in a cell that was taken")
    tiles = sum(bag.tiles for bag in bags.values())
    width = next((bag.width for bag in bags.values()), 0)
    print(f"{len(bags):,} good bags with {tiles:,} tiles of {width} features in {folder}, {len(bad):,} bad ones")
    return 1 if bad else 0


CHECK = "read every bag of a folder once; a line for each bad one"
ROOT = {"metavar": "ROOT", "help": "the folder, as for the task wsi"}
COMMAND = PageCommand(
    name="slides", actions={"check": (CHECK, lambda parser: parser.add_argument("root", **ROOT), _check)}
)
add_arguments, main = COMMAND.add_arguments, COMMAND.main
