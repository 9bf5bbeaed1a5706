import sys
from typing import Annotated, Literal

import pytest

from harness.contracts.errors import UserError
from harness.registry import Added, Range, Registry, architectures, load_plugin, protocols, scans, tasks


@pytest.fixture
def registry():
    registry = Registry("thing", "harness.training.protocols", supplied=("width",))
    registry._loaded = True  # only what a test registers

    @registry.register("example", version=3)
    def example(
        *,
        width,
        size: Annotated[int, Range(1, 9)] = 2,
        rate: float = 0.5,
        kind: Literal["mean", "sum"] = "mean",
        on: bool = False,
        root: str = "here",
    ):
        """An example.

        More of it.
        """
        return width, size, rate, kind, on, root

    return registry


def test_an_entry_is_read_off_its_signature_and_docstring(registry):
    entry = registry.get("example")
    assert entry.title == "An example."
    assert entry.version == 3
    assert list(entry.parameters) == ["size", "rate", "kind", "on", "root"]
    assert entry.supplied == ("width",)


def test_a_parameter_that_was_added_later_leaves_the_canonical_form_as_it_was(registry):
    @registry.register("grown", version=1)
    def grown(
        size: Annotated[int, Range(1, 9)] = 2,
        conv: Annotated[int, Range(0, 9), Added()] = 0,
        sign: Annotated[Literal["one", "two"], Added()] = "one",
    ):
        """Grown."""
        return size, conv, sign

    assert registry.canonical("grown") == registry.canonical("grown:conv=0,sign=one") == "grown:size=2"
    assert registry.canonical("grown:sign=two,conv=3") == "grown:size=2,conv=3,sign=two"
    entry, values = registry.parse("grown:size=4")
    assert entry.create(values) == (4, 0, "one")
    with pytest.raises(UserError, match="must be 0 to 9, got 10"):
        registry.parse("grown:conv=10")


def test_the_canonical_form_fills_in_defaults_in_declared_order(registry):
    assert registry.canonical("example:on=true,size=3") == "example:size=3,rate=0.5,kind=mean,on=true,root=here"
    assert registry.canonical("example:rate=5e-1") == registry.canonical("example")


def test_create_calls_the_factory_with_parameters_and_what_it_asks_for(registry):
    entry, values = registry.parse("example:size=4,kind=sum")
    assert entry.create(values, width=7) == (7, 4, 0.5, "sum", False, "here")


def test_a_class_is_registered_itself_and_shows_its_own_docstring(registry):
    class Base:
        """Of the base."""

    @registry.register("own", version=1)
    class Own(Base):
        """Its own card."""

        def __init__(self, *, width, size: Annotated[int, Range(1, 9)] = 2):
            self.width, self.size = width, size

    entry, values = registry.parse("own:size=4")
    made = entry.create(values, width=7)
    assert isinstance(made, Own) and (made.width, made.size) == (7, 4)
    assert entry.title == "Its own card." and entry.supplied == ("width",)
    with pytest.raises(UserError, match="its docstring's first line is its title"):

        @registry.register("silent", version=1)
        class Silent(Base):
            def __init__(self, *, size: int = 2):
                self.size = size


def test_a_class_may_inherit_its_arguments_from_another_module(registry, monkeypatch):
    import types

    def module(name, text, **names):
        made = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, made)
        exec("from __future__ import annotations\n" + text, vars(made) | names, vars(made))
        return made

    text = "class Base:\n    def __init__(self, *, size: Annotated[int, Range(1, 9)] = 2):\n        self.size = size\n"
    base = module("of_the_base", "from typing import Annotated\nfrom harness.registry import Range\n" + text)
    derived = module("of_the_derived", 'class Derived(Base):\n    """Derived."""\n', Base=base.Base)
    registry.register("derived", version=1)(derived.Derived)
    assert registry.parse("derived:size=9")[1] == {"size": 9}
    with pytest.raises(UserError, match="1 to 9"):
        registry.parse("derived:size=10")


def test_other_packages_name_the_groups_of_their_entry_points_by_axis():
    groups = [axis.group for axis in (tasks, architectures, scans, protocols)]
    assert groups == ["harness.tasks", "harness.architectures", "harness.scans", "harness.protocols"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("exmple", ["'exmple'", "did you mean example?"]),
        ("example:sise=3", ["'sise'", "did you mean size?"]),
        ("example:size=ten", ["size", "whole number", "1 to 9", "'ten'"]),
        ("example:size=2.5", ["size", "whole number", "'2.5'"]),
        ("example:size=10", ["size", "1 to 9", "10"]),
        ("example:size=99999999999999999999", ["size", "99999999999999999999"]),
        ("example:rate=fast", ["rate", "number", "'fast'"]),
        ("example:rate=nan", ["rate", "finite", "'nan'"]),
        ("example:rate=inf", ["rate", "finite", "'inf'"]),
        ("example:kind=meen", ["kind", "mean, sum", "did you mean mean?"]),
        ("example:on=yes", ["on", "true or false", "'yes'"]),
    ],
)
def test_a_wrong_spec_names_subject_rule_value_and_what_is_near(registry, text, parts):
    with pytest.raises(UserError) as caught:
        registry.parse(text)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_factory_argument_that_nobody_supplies_is_refused(registry):
    with pytest.raises(UserError, match="'depth' has no default"):

        @registry.register("wrong", version=1)
        def wrong(*, depth):
            """Wrong."""


def test_a_name_may_be_taken_once(registry):
    def other():
        """Other."""

    other.__module__ = "elsewhere"
    with pytest.raises(UserError, match="already registered"):
        registry.register("example", version=1)(other)


def test_a_plugin_file_adds_an_entry(tmp_path):
    path = tmp_path / "boustrophedon.py"
    path.write_text(
        "from harness.contracts import Scan\n"
        "from harness.registry import scans\n"
        "import numpy as np\n"
        "@scans.register('plugin-test-scan', version=1)\n"
        "def plugin_scan():\n"
        "    '''From a plug-in.'''\n"
        "    return Scan(orders=(lambda height, width: np.arange(height * width),))\n"
    )
    try:
        load_plugin(str(path))
        assert scans.get("plugin-test-scan").title == "From a plug-in."
    finally:
        scans._entries.pop("plugin-test-scan", None)


@pytest.mark.parametrize("name", ["no_such_module_at_all", "missing.py"])
def test_a_plugin_that_is_not_there_is_a_user_error(name):
    with pytest.raises(UserError, match="does not import"):
        load_plugin(name)


@pytest.mark.parametrize("axis", [tasks, architectures, scans, protocols], ids=lambda axis: axis.axis)
def test_every_entry_has_a_title_a_version_and_a_canonical_form_that_is_its_own(axis):
    for entry in axis:
        assert entry.title.endswith(".") or entry.title.endswith("?")
        assert entry.version >= 1
        canonical = axis.canonical(entry.name)
        assert axis.canonical(canonical) == canonical
