"""Scans from their texts: modifiers, and routes joined with `+`."""

from __future__ import annotations

from dataclasses import replace

from harness.contracts import Scan, UserError, one_sequence
from harness.contracts.errors import nearest
from harness.contracts.routes import MODIFIERS, modified

from .entries import scans
from .specs import Spec, format_spec, parse_scan


def scan_from(text: str) -> tuple[str, int, Scan]:
    """Resolve a scan's text.

    Returns:
        its canonical text, its version (the sum of its routes' versions), and the scan.

    Raises:
        UserError: an unknown name, parameter or modifier, or '+' between schemes that have a merge of their own.
    """
    names, versions, found = zip(*map(_resolve, parse_scan(text)), strict=True)
    if len(found) == 1:
        return names[0], versions[0], found[0]
    for name, scan in zip(names, found, strict=True):
        if len(scan.orders) > 1 or scan.segments is not one_sequence:
            raise UserError(
                f"scan {text!r}: '+' joins single routes and takes their mean, got {name!r}, which has"
                " several sequences or a merge of its own; use it alone"
            )
    return "+".join(names), sum(versions), Scan(orders=tuple(scan.orders[0] for scan in found))


def _resolve(spec: Spec) -> tuple[str, int, Scan]:
    entry, values = scans.resolve(spec)
    scan: Scan = entry.create_light(values)
    for modifier in spec.modifiers:
        if modifier not in MODIFIERS:
            raise UserError(f"scan modifier {modifier!r} is not known; {nearest(modifier, MODIFIERS)}")
        scan = modified(scan, modifier)
    canonical = replace(entry.canonical(values), modifiers=spec.modifiers)
    return format_spec(canonical, scan=True), entry.version, scan
