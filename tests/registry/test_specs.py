import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts.errors import UserError
from harness.registry.specs import Spec, format_spec, parse_scan, parse_spec

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,11}", fullmatch=True)
keys = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
values = st.text(min_size=1, max_size=12)


@given(names, st.dictionaries(keys, values, max_size=4))
def test_a_spec_survives_being_written_and_read(name, parameters):
    spec = Spec(name=name, parameters=parameters)
    assert parse_spec(format_spec(spec)) == spec


@given(
    st.lists(
        st.builds(
            Spec,
            name=names,
            parameters=st.dictionaries(keys, values, max_size=3),
            modifiers=st.lists(st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True), max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_scan_survives_being_written_and_read(routes):
    assert parse_scan("+".join(format_spec(route, scan=True) for route in routes)) == routes


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text):
    for parse in (parse_spec, parse_scan):
        try:
            parse(text)
        except UserError as error:
            assert "\n" not in str(error).replace(repr(text), "")


@pytest.mark.parametrize(
    ("text", "offending"),
    [
        ("", "empty"),
        (":a=1", "''"),
        ("Hilbert", "Hilbert"),
        ("a:", "''"),
        ("a:b", "'b'"),
        ("a:b=", "b="),
        ('a:b=""', "b="),
        ("a:=1", "''"),
        ("a:b=1,", "''"),
        ("a:b=1,,c=2", ",c=2"),
        ("a:b=1,b=2", "'b'"),
        ("a:b=1=2", "=2"),
        ("a:b=x:y", ":y"),
        ('a:b="x', "ends with"),
        ("a:b=1 2", "1 2"),
        ("a+b", "+b"),
        ("a.reversed", "a.reversed"),
    ],
)
def test_a_wrong_spec_is_refused_and_names_the_offending_part(text, offending):
    with pytest.raises(UserError) as caught:
        parse_spec(text)
    assert offending in str(caught.value)


@pytest.mark.parametrize("text", ["a+", "+a", "a++b", "a.", "a..reversed", "a.reversed:size=2", "a:b=1.reversed,c=2"])
def test_a_wrong_scan_is_refused(text):
    with pytest.raises(UserError):
        parse_scan(text)


def test_modifiers_follow_parameters_and_numbers_keep_their_points():
    (route,) = parse_scan("window:size=2,decay=0.5.reversed.transposed")
    assert route == Spec(name="window", parameters={"size": "2", "decay": "0.5"}, modifiers=("reversed", "transposed"))
