"""The rooms of harness/ import downwards only; as the sources have it, within functions and for types too."""

import ast
import functools
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "contracts": "",
    "registry": "contracts",
    "model": "contracts registry",
    "store": "contracts registry",
    "training": "contracts registry model store",
    "analysis": "contracts registry store",
    "timing": "contracts registry model store training analysis",
    "gpu": "contracts registry model store training analysis timing",
    "running": "contracts registry model store training analysis timing",
    "commands": "contracts registry model store training analysis timing gpu running tasks scans architectures reports",
    "tasks": "contracts registry",
    "scans": "contracts registry",
    "architectures": "contracts registry",
    "reports": "contracts registry store analysis",
}
"""What each room and each folder of plug-ins may import beside itself; `harness` itself is for what stands outside."""

PLUGINS = ("tasks", "scans", "architectures", "reports")
LONGEST = 300
REASON = "Long because"
"""How a longer file begins the line in which it says why, within its first lines."""


def tracked(*endings):
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name.endswith(endings)]
    return [path for path in paths if path.is_file() and path.relative_to(ROOT).parts[0] in ("harness", *PLUGINS)]


def module_of(path):
    """harness/model/cost.py -> harness.model.cost, tasks/_crops.py -> harness.tasks._crops."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "harness" else ("harness", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules():
    return {module_of(path): path for path in tracked(".py")}


def imported(path):
    """The names that a file imports: (absolute module, whether it was written relatively)."""
    package = module_of(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield (inner if inner in modules() else source), bool(node.level)


@functools.cache
def graph():
    """module -> the modules of ours that it imports."""
    return {
        module: sorted({name for name, _ in imported(path) if name in modules()} - {module})
        for module, path in modules().items()
    }


def room_of(module):
    return (module.split(".") + [""])[1]


def test_nothing_stands_beside_the_rooms():
    beside = {path.name for path in tracked(".py", ".cpp", ".h") if path.parent == ROOT / "harness"}
    assert beside == {"__init__.py", "__main__.py"}
    found = {room_of(module) for module in modules()} - {"", "__main__"}
    assert found == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_stands_below_it(room):
    allowed = {room, *ROOMS[room].split()}
    wrong = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in others
        if room_of(module) == room and room_of(other) not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_are_relative_within_a_folder_and_absolute_across_rooms():
    wrong = [
        f"{module} writes {other} {'relatively' if relative else 'in full'}"
        for module, path in modules().items()
        for other, relative in imported(path)
        if other in modules()
        and (relative if room_of(other) != room_of(module) else not relative and modules()[other].parent == path.parent)
        and room_of(module) not in ("", "__main__")
    ]
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_no_files_import_each_other_in_a_circle():
    order, lowest, waiting, circles = {}, {}, [], []

    def visit(module):  # Tarjan's strongly connected components
        order[module] = lowest[module] = len(order)
        waiting.append(module)
        for other in graph()[module]:
            if other not in order:
                visit(other)
            if other in waiting:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            circle = waiting[waiting.index(module) :]
            del waiting[waiting.index(module) :]
            if len(circle) > 1:
                circles.append(" <-> ".join(circle))

    for module in graph():
        if module not in order:
            visit(module)
    assert not circles, "\n".join(circles)


def test_a_long_file_says_why():
    silent = []
    for path in tracked(".py", ".cpp", ".h"):
        lines = path.read_text().splitlines()
        if len(lines) > LONGEST and not any(REASON in line for line in lines[:25]):
            silent.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
    assert not silent, "\n".join(silent)
