"""`show`: the card of one task, architecture, scan or protocol."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import textwrap
from typing import Any

from harness.contracts.errors import UserError, nearest
from harness.registry.cells import display_spec

from ._options import add_plugin_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "spec", metavar="NAME", help="a name or spec: hilbert, window:size=2.reversed, locality2d:count=3"
    )
    parser.add_argument("--grid", default="8x8", metavar="HxW", help="grid of a scan's card (default: 8x8)")
    parser.add_argument(
        "--store", metavar="FILE", help="also what the decays of the models trained in a store keep under this scan"
    )
    parser.add_argument("-o", "--output", metavar="FILE.png", help="a scan's route or a task's example as a PNG")
    add_plugin_argument(parser)
    parser.add_argument("--format", choices=("table", "json"), default="table")


def main(options: argparse.Namespace) -> int:
    """Print the card."""
    from harness import registry

    for plugin in options.plugins:
        registry.load_plugin(plugin)
    name = re.split(r"[:.+]", options.spec, maxsplit=1)[0]
    axes = (registry.tasks, registry.architectures, registry.scans, registry.protocols)
    found = [axis for axis in axes if name in axis.names()]
    if not found:
        close = nearest(name, [known for axis in axes for known in axis.names()])
        raise UserError(f"nothing is called {name!r}; {close} (see: python -m harness list)")
    if options.output and not options.output.endswith(".png"):
        raise UserError(f"show writes a picture to a .png file, got {options.output!r}")
    if found[0] is registry.scans:
        return _show_scan(options)
    entry, values = found[0].parse(options.spec)
    facts: dict[str, Any] = {name: getattr(entry, name) for name in ("axis", "name", "version")}
    facts |= {"spec": found[0].canonical(options.spec), "parameters": values, "description": entry.description}
    if found[0] is registry.tasks:
        facts |= _task_facts(entry.create(values), options.output)
    elif options.output:
        raise UserError(f"show draws scans and tasks; {entry.name} is a {entry.axis}")
    if options.format == "json":
        print(json.dumps(facts))
        return 0
    print(facts.pop("description") + "\n")
    parameters = facts.pop("parameters")
    pattern_rows = facts.pop("example_patterns", None)
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):<26} {value if not isinstance(value, float) else round(value, 4)}")
    for name, value in parameters.items():
        print(f"  {name:<24} {value}")
    if pattern_rows is not None:
        print("example, the pattern in each cell (0 and 1 are the class patterns)")
        for row in pattern_rows:
            print("  " + " ".join(f"{pattern:>2}" for pattern in row))
    return 0


def _grid(text: str) -> tuple[int, int]:
    """`7x13` as (height, width)."""
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    grid = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= 4096 for side in grid):
        raise UserError(f"--grid is HEIGHTxWIDTH in cells, each 1 to 4096, got {text!r}; for example 7x13")
    return grid


def _show_scan(options: argparse.Namespace) -> int:
    from harness.analysis.drawing import draw_png, draw_text
    from harness.analysis.locality import card
    from harness.contracts.errors import Unsupported
    from harness.contracts.routes import check_routes
    from harness.registry import scans
    from harness.registry.routing import scan_from
    from harness.registry.specs import parse_scan

    grid = _grid(options.grid)
    count = grid[0] * grid[1]
    canonical, version, scan = scan_from(options.spec)
    try:
        routes = check_routes(scan.routes(grid), count, subject=f"scan {canonical}")
    except Unsupported as error:
        raise UserError(f"scan {canonical} does not fit a grid of {options.grid}: {error}") from error
    segments = scan.segment_lengths(grid)
    figures = card(routes, grid, segments=segments) if count > 1 else {}
    figures |= _trained_figures(options.store, routes, grid, segments) if options.store and figures else {}
    if options.output:
        draw_png(routes, grid, options.output, title=f"{canonical} on {grid[0]} x {grid[1]}")
    if options.format == "json":
        facts = {"axis": "scan", "spec": canonical, "version": version, "grid": list(grid)}
        facts |= {name: getattr(scan, name) for name in ("merge", "per_layer", "direction_embedding")}
        facts |= {"segments": list(segments), "own_parameters": scan.own_parameters}
        print(json.dumps(facts | {"routes": routes.tolist(), "figures": figures}))
        return 0
    for spec in parse_scan(options.spec):
        print(scans.get(spec.name).description + "\n")
    columns = shutil.get_terminal_size().columns
    print(f"{canonical} on {grid[0]} x {grid[1]} cells, version {version}; {_scheme(scan, len(routes), len(segments))}")
    print(f"every route visits each of the {count:,} cells once, and its rank inverts it: checked")
    for number, route in enumerate(routes):
        print(f"\nroute {number}, ● to ■ (or the step at which a cell is visited)")
        print(textwrap.indent(draw_text(route, grid, columns=columns - 2), "  "))
    print("\nlocality" + (" (a column a route)" if len(routes) > 1 else ""))
    for figure, values in figures.items():
        cells = (
            "-" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" for value in values
        )
        print(f"  {LABELS.get(figure, figure.replace('_', ' ')):<62}" + "".join(f"  {cell:>10}" for cell in cells))
    if options.output:
        print(f"\ndrawn to {options.output}")
    return 0


def _scheme(scan: Any, routes: int, segments: int) -> str:
    """How the routes are used, in words."""
    if scan.per_layer:
        return f"{routes} routes, one a layer in turn"
    cut = f", cut into {segments} sequences of their own" if segments > 1 else ""
    if routes == 1:
        return f"1 route{cut}"
    parameters = "own parameters each" if scan.own_parameters else "shared parameters"
    direction = ", told their direction" if scan.direction_embedding else ""
    return f"{routes} routes, merged by {scan.merge}, {parameters}{direction}{cut}"


def _trained_figures(path, routes, grid, segments) -> dict[str, list[float]]:
    """For every architecture of a store, what the decays of its trained models keep of a dense and a half blob."""
    from harness.analysis.locality import blob_gaps, trained_retention
    from harness.store.store import Store

    with Store(path, read_only=True) as store:
        records = [record for record in store.records() if record.get("decay_quantiles")]
    if not records:
        raise UserError(f"show: {path} holds no trained decays (gated and state space models leave them)")
    found: dict[str, list[float]] = {}
    for architecture in dict.fromkeys(record["architecture"] for record in records):
        decays = [d for r in records if r["architecture"] == architecture for d in r["decay_quantiles"]]
        for name, half in (("dense", False), ("half-filled", True)):
            label = f"{name} 3 x 3 blob: mean of a^gap, a as {display_spec('architecture', architecture)} trained it"
            gaps = [blob_gaps(route, grid, 3, half=half, segments=segments) for route in routes]
            found[label] = [trained_retention(each, decays) for each in gaps]
    return found


LABELS = {
    "neighbour_gap_sum": "2D to 1D: sum of rank gaps over 4-neighbour pairs",
    "neighbour_gap_mean": "2D to 1D: mean rank gap of 4-neighbours",
    "neighbour_gap_largest": "2D to 1D: largest rank gap of 4-neighbours",
    "step_length_mean": "1D to 2D: mean length of a step (cells)",
    "step_length_largest": "1D to 2D: longest step",
    "jumps": "1D to 2D: steps longer than to one of the 8 neighbours",
    "stretch": "1D to 2D: Gotsman-Lindenbaum, max of distance^2 / steps",
    "window_clusters": "mean runs that cover a 4 x 4 window",
} | {
    f"{kind}_blob_{figure}": f"{word} 3 x 3 blob: {text}"
    for kind, word in (("dense", "dense"), ("half", "half-filled"))
    for figure, text in (
        ("gap_median", "median gap of successive cells"),
        ("gap_90_percent", "90% of the gaps are no longer than"),
        *((f"retention_{decay}", f"mean of {decay}^gap, what a gate {decay} keeps") for decay in (0.5, 0.9, 0.99)),
    )
}


COLOURS = ("#E69F00", "#56B4E9")


def _task_facts(task, output: str | None) -> dict[str, object]:
    import numpy as np

    from harness.training.ceilings import ceilings

    samples = task.sample("train", 8 * task.classes, 0)
    batch = samples.batch(np.arange(1))
    found = ceilings(task)
    known = {"order_blind_ceiling": found.order_blind, "position_marginal_ceiling": found.position_marginal}
    facts: dict[str, object] = {
        "grid": list(task.grid),
        **{name: getattr(task, name) for name in ("features", "vocabulary", "classes", "chance")},
        **{name: accuracy and accuracy.value for name, accuracy in (known | {"oracle": found.oracle}).items()},
        **{
            name: getattr(task, name)
            for name in ("per_token_targets", "from_final_step", "next_token", "tests_locality")
        },
        "example_target": batch.target[0].tolist(),
        "example_tokens": f"{batch.tokens.dtype} {list(batch.tokens[:1].shape)}, mean {batch.tokens[0].mean():.3f}",
    }
    if task.irregular:
        facts["grid"] = f"cells of each sequence's own, up to {task.longest:,}"
    elif samples.patterns is not None:
        facts["example_patterns"] = samples.patterns[0].reshape(task.grid).tolist()
    if output:
        _draw_examples(samples, task, output)
        facts["picture"] = output
    return facts


def _draw_examples(samples, task, output: str) -> None:
    """A line of four samples for each of the first five classes; cells of class pattern 0 framed orange, of 1 blue.

    A task that asks at cells has one line of samples, and the cells that it asks at are framed orange.
    """
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from harness.contracts import IGNORE_INDEX

    classes = 1 if task.per_token_targets else min(task.classes, 5)
    figure = Figure(figsize=(8, 2.2 * classes), dpi=150, layout="constrained")
    patterns = None if task.irregular else samples.patterns
    for target, line in enumerate(figure.subplots(classes, 4, squeeze=False)):
        found = np.arange(4) if task.per_token_targets else np.flatnonzero(samples.target == target)[:4]
        for axis in line[len(found) :]:
            axis.set_axis_off()
        for axis, index in zip(line, found, strict=False):
            if hasattr(samples, "images"):
                picture = np.moveaxis(samples.images(np.array([index]))[0], 0, -1)
                coloured = picture.shape[-1] == 3
                picture = (picture - picture.min()) / max(np.ptp(picture), 1e-6) if coloured else picture[..., 0]
            else:
                picture = samples.batch(np.array([index])).tokens[0].T
            height, width = picture.shape[:2] if task.irregular else task.grid
            extent = (0, width, height, 0)  # a cell is one unit, whatever is drawn in it
            axis.imshow(picture, cmap="gray", extent=extent, aspect="auto" if height == 1 else "equal")
            framed = [] if patterns is None else [(patterns[index] == n, c, 1.6) for n, c in enumerate(COLOURS)]
            if task.per_token_targets:
                framed.append((samples.target[index] != IGNORE_INDEX, COLOURS[0], 0.8))
            for cells, colour, line_width in framed:
                for cell in np.flatnonzero(cells):
                    corner = (cell % width, cell // width)
                    axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=colour, linewidth=line_width))
            axis.set_title("asked where framed" if task.per_token_targets else f"target {target}", fontsize=8)
            axis.set(xticks=[], yticks=[])
    figure.savefig(output)
