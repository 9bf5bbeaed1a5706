r"""Spec strings: `name:key=value,key=value`, and on the scan axis `.modifier` and `+`.

One grammar for the command line, study files, records and reports. This module knows only the text; which names and
parameters exist is the registry's business (`harness.registry`).

    spec     = name [":" key "=" value {"," key "=" value}]
    scan     = route {"+" route}        route = spec {"." modifier}
    value    = any run of characters but , : = + " and white space, or a double-quoted string (\" and \\ escape)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.contracts.errors import UserError

NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
KEY = re.compile(r"[a-z][a-z0-9_]*\Z")
MODIFIERS_AFTER_VALUE = re.compile(r"(?:\.[a-z][a-z-]*)+\Z")
SPECIAL = re.compile(r'[,:=+"\s]')
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A parsed spec: name, parameters as the text gave them, and (scans only) modifiers in order."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    modifiers: tuple[str, ...] = ()


def parse_spec(text: str, *, axis: str = "spec") -> Spec:
    """Parse one spec without modifiers.

    >>> parse_spec("locality2d:height=16,width=16").parameters
    {'height': '16', 'width': '16'}

    Raises:
        UserError: the text is not of the grammar; the message names the offending part.
    """
    return _parse(text, axis=axis, modifiers=False)[0]


def parse_scan(text: str) -> list[Spec]:
    """Parse a scan: routes joined with `+`, each with its modifiers.

    >>> [(r.name, r.parameters, r.modifiers) for r in parse_scan("window:size=2.reversed+hilbert")]
    [('window', {'size': '2'}, ('reversed',)), ('hilbert', {}, ())]
    """
    return _parse(text, axis="scan", modifiers=True)


def quote(value: str, *, always: bool = False) -> str:
    """Quote a parameter value where the grammar needs it."""
    if value and not always and not SPECIAL.search(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def format_spec(spec: Spec, *, scan: bool = False) -> str:
    """The text of a spec; `parse(format(spec)) == spec`."""
    text = spec.name
    if spec.parameters:
        # On the scan axis a bare value must not end in what looks like a modifier.
        always = {key: scan and bool(MODIFIERS_AFTER_VALUE.search(value)) for key, value in spec.parameters.items()}
        text += ":" + ",".join(f"{key}={quote(value, always=always[key])}" for key, value in spec.parameters.items())
    return text + "".join(f".{modifier}" for modifier in spec.modifiers)


def _parse(text: str, *, axis: str, modifiers: bool) -> list[Spec]:
    def fail(rule: str, found: str) -> UserError:
        return UserError(f"{axis} {text!r}: {rule}, found {found!r}")

    if not text:
        raise UserError(f"{axis} '': a name is needed, found an empty text")
    specs: list[Spec] = []
    position = 0
    while True:
        spec, position = _parse_route(text, position, fail=fail, modifiers=modifiers)
        specs.append(spec)
        if position == len(text):
            return specs
        if not modifiers:
            raise fail("only a scan may join routes with '+'", text[position:])
        position += 1  # the '+' that ended the route


def _parse_route(text: str, position: int, *, fail, modifiers: bool) -> tuple[Spec, int]:
    end = _until(text, position, ":+")
    head = text[position:end]
    name, *found_modifiers = head.split(".") if modifiers else [head]
    if not NAME.match(name):
        raise fail("a name is lower-case letters, digits and '-'", name)
    parameters: dict[str, str] = {}
    if end < len(text) and text[end] == ":":
        if found_modifiers:
            raise fail("modifiers follow the parameters", head)
        end += 1
        while True:
            stop = _until(text, end, "=,+:")
            key = text[end:stop]
            if stop == len(text) or text[stop] != "=":
                raise fail("a parameter is key=value", text[end:stop] or text[end:])
            if not KEY.match(key):
                raise fail("a parameter's key is lower-case letters, digits and '_'", key)
            if key in parameters:
                raise fail("a parameter may be given once", key)
            value, end, quoted = _parse_value(text, stop + 1, fail=fail)
            if modifiers:
                if quoted:
                    stop = _until(text, end, ",+:=")
                    suffix, end = text[end:stop], stop
                else:
                    match = MODIFIERS_AFTER_VALUE.search(value)
                    suffix = match[0] if match else ""
                    value = value.removesuffix(suffix)
                if suffix:
                    if not suffix.startswith("."):
                        raise fail("after a quoted value comes ',', '+' or '.modifier'", suffix)
                    found_modifiers = suffix[1:].split(".")
            if not value:
                raise fail("a parameter's value must not be empty", f"{key}=" + '""' * quoted)
            parameters[key] = value
            if end == len(text) or text[end] == "+":
                break
            if text[end] != ",":
                raise fail("parameters are separated by ','; quote a value that holds any of , : = +", text[end:])
            if found_modifiers:
                raise fail("modifiers come after the last parameter", "." + ".".join(found_modifiers))
            end += 1
    for modifier in found_modifiers:
        if not NAME.match(modifier):
            raise fail("a modifier is lower-case letters", modifier)
    if end == len(text) - 1 and text[end] == "+" and modifiers:
        raise fail("a route is needed after '+'", text[end:])
    return Spec(name=name, parameters=parameters, modifiers=tuple(found_modifiers)), end


def _until(text: str, position: int, stops: str) -> int:
    return next((at for at in range(position, len(text)) if text[at] in stops), len(text))


def _parse_value(text: str, position: int, *, fail) -> tuple[str, int, bool]:
    if text.startswith('"', position):
        found = QUOTED.match(text, position)
        if found is None:
            raise fail("a quoted value ends with '\"'", text)
        return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL), found.end(), True
    special = SPECIAL.search(text, position)
    end = special.start() if special else len(text)
    if end < len(text) and text[end] not in ",+:=":
        raise fail("quote a value that holds white space or quotes", text[position:])
    return text[position:end], end, False
