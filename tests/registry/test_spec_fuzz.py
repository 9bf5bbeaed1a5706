"""Thousands of specs, right and wrong: each is understood or refused in one line that names the offending part."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contracts.errors import Unsupported, UserError
from harness.contracts.routes import MODIFIERS, check_routes
from harness.registry import architectures, protocols, scans, tasks
from harness.registry.routing import scan_from
from harness.registry.specs import parse_scan, quote

AXES = {registry.axis: registry for registry in (tasks, architectures, scans, protocols)}
ODD_VALUES = (
    "", "0", "-1", "-0", "1e400", "1e-400", "nan", "inf", "true", "1_0", "0x10", "9" * 20, "1.5", "maybe", '"', '""',
    '"a b"', '"\\"', ".reversed", "1.reversed", "a=b", "a:b", " ", "\u0661", "\0", "/no/such/folder", "horizontal",
    '"mamba+gru"', '"hybrid"', "one\ntwo",
)  # fmt: skip
SLIPS = st.sampled_from([*',:=+."\\ \n\t-_aZ0\0', "\u00e9", "\U0001f642"])


def value_of(parameter):
    """A text that may well be a value of the parameter."""
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.type is bool:
        return st.sampled_from(["true", "false"])
    if parameter.type is int:
        return st.integers(0, 20).map(str)
    if parameter.type is float:
        return st.sampled_from(["0", "0.1", "0.5", "1.0", "2", "1e-3"])
    return st.sampled_from(["x", '"a b"', "horizontal", "gru"])


@st.composite
def specs(draw, axis, odd=True):
    entry = AXES[axis].get(draw(st.sampled_from(AXES[axis].names())))
    parameters = [entry.parameters[name] for name in sorted(entry.parameters)]
    chosen = draw(st.lists(st.sampled_from(parameters), max_size=4, unique_by=lambda p: p.name)) if parameters else []
    pairs = []
    for parameter in chosen:
        sane = not odd or draw(st.booleans())
        pairs.append(f"{parameter.name}={draw(value_of(parameter) if sane else st.sampled_from(ODD_VALUES))}")
    text = entry.name + (":" + ",".join(pairs) if pairs else "")
    if axis == "scan":
        text += "".join(f".{name}" for name in draw(st.lists(st.sampled_from(list(MODIFIERS)), max_size=2)))
        if draw(st.integers(0, 3)) == 0:
            text += "+" + draw(specs("scan", odd))
    return text


@st.composite
def slipped(draw, texts):
    """A text after up to two slips of the keyboard."""
    text = draw(texts)
    for _ in range(draw(st.integers(0, 2))):
        place, typed = draw(st.integers(0, len(text))), draw(st.one_of(st.just(""), SLIPS))
        text = text[:place] + typed + text[place + draw(st.integers(0, 1)) :]
    return text


def understood(axis, text):
    """Everything that is done with a text before a run; True where it is understood."""
    try:
        if axis == "scan":
            canonical, version, _ = scan_from(text)
            assert scan_from(canonical)[:2] == (canonical, version)
            return True
        canonical = AXES[axis].canonical(text)
        assert AXES[axis].canonical(canonical) == canonical
        if axis != "architecture":  # an architecture is made by a run, which records what it raises
            entry, values = AXES[axis].parse(text)
            entry.create_light(values)
        return True
    except Unsupported as error:
        assert error.reason and error.cure
        return True
    except UserError as error:
        assert "\n" not in str(error), "a mistake is one line"
        assert axis in str(error)
        return False


anything = st.sampled_from(sorted(AXES)).flatmap(lambda axis: st.tuples(st.just(axis), slipped(specs(axis))))


@settings(max_examples=400)
@given(anything)
def test_a_spec_is_understood_or_refused_in_one_line(drawn):
    understood(*drawn)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(anything)
def test_ten_thousand_specs_are_understood_or_refused_in_one_line(drawn):
    understood(*drawn)


def refusal(axis, text):
    with pytest.raises(UserError) as caught:
        scan_from(text) if axis == "scan" else AXES[axis].parse(text)
    return str(caught.value)


FAULTS = ("name", "key", "value", "twice", "empty", "tail")


@settings(max_examples=300)
@given(
    axis=st.sampled_from(sorted(AXES)),
    fault=st.sampled_from(FAULTS),
    word=st.text(string.ascii_lowercase, min_size=6, max_size=9).map(lambda text: f"q{text}z"),
    data=st.data(),
)
def test_a_known_mistake_is_named(axis, fault, word, data):
    registry = AXES[axis]
    entry = registry.get(data.draw(st.sampled_from(registry.names())))
    checked = [p for p in entry.parameters.values() if p.type is not str or p.choices]
    if fault == "name":
        assert f"'{word}'" in refusal(axis, word)
    elif fault == "key":
        assert f"'{word}'" in refusal(axis, f"{entry.name}:{word}=1")
    elif fault == "tail":
        assert f"={word}" in refusal(axis, f"{entry.name}:some=1={word}")
    elif checked:
        parameter = data.draw(st.sampled_from(checked))
        text = {
            "value": f"{parameter.name}={word}",
            "twice": f"{parameter.name}=1,{parameter.name}=2",
            "empty": f"{parameter.name}=",
        }[fault]
        found = refusal(axis, f"{entry.name}:{text}")
        assert parameter.name in found and (fault != "value" or f"'{word}'" in found)


@given(
    route=st.sampled_from(scans.names()),
    word=st.text(string.ascii_lowercase, min_size=6, max_size=9).map(lambda text: f"q{text}z"),
    place=st.integers(0, 2),
)
def test_a_wrong_route_or_modifier_among_right_ones_is_named(route, word, place):
    routes = ["horizontal", "vertical"]
    for wrong in (word, f"{route}.{word}", f"{route}.reversed.{word}"):
        text = "+".join([*routes[:place], wrong, *routes[place:]])
        assert word in refusal("scan", text)


@given(number=st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9)), data=st.data())
def test_a_number_out_of_range_is_named_with_the_range(number, data):
    bounded = [
        (registry, e, p) for registry in AXES.values() for e in registry for p in e.parameters.values() if p.range
    ]
    registry, entry, parameter = data.draw(st.sampled_from(bounded))
    value = parameter.type(number)
    if value not in parameter.range:
        found = refusal(registry.axis, f"{entry.name}:{parameter.name}={value!r}")
        assert parameter.name in found and str(parameter.range) in found and str(value) in found


@settings(max_examples=200)
@given(text=specs("scan", odd=False), height=st.integers(1, 12), width=st.integers(1, 12))
def test_whatever_scan_is_accepted_visits_every_cell_of_any_grid_or_says_why_not(text, height, width):
    try:
        scan = scan_from(text)[2]
        routes = scan.routes((height, width))
    except (UserError, Unsupported):
        return
    check_routes(routes, height * width, subject=text)
    assert sum(scan.segment_lengths((height, width))) == height * width


@given(value=st.text(min_size=1, max_size=20), modifiers=st.lists(st.sampled_from(list(MODIFIERS)), max_size=2))
def test_any_value_can_be_given_in_quotes(value, modifiers):
    quoted = quote(value) if quote(value) != value else f'"{value}"'
    (route,) = parse_scan(f"some:key={quoted}" + "".join(f".{name}" for name in modifiers))
    assert route.parameters == {"key": value} and list(route.modifiers) == modifiers
