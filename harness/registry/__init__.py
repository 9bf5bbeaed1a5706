"""Names to things: entries of every axis, spec strings, cells and runs."""

from .entries import Entry, Registry, architectures, load_plugin, protocols, scans, tasks
from .parameters import Added, Range

__all__ = ["Added", "Entry", "Range", "Registry", "architectures", "load_plugin", "protocols", "scans", "tasks"]
