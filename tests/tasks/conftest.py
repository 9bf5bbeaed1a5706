"""Tasks that read files from disk get small ones of their format."""

import importlib.util
import sys
from pathlib import Path

import pytest

FORMATS = Path(__file__).with_name("published_formats.py")
spec = importlib.util.spec_from_file_location("published_formats", FORMATS)
assert spec is not None and spec.loader is not None
published_formats = importlib.util.module_from_spec(spec)
sys.modules["published_formats"] = published_formats
spec.loader.exec_module(published_formats)


@pytest.fixture(scope="session")
def given(tmp_path_factory):
    """entry -> the parameters it cannot do without, as texts."""
    roots = {}

    def given(entry):
        if "root" not in entry.parameters:
            return {}
        if entry.name not in roots:
            writer = published_formats.WRITERS[entry.name]
            roots[entry.name] = writer(tmp_path_factory.mktemp(entry.name) / "data")
        return {"root": str(roots[entry.name])}

    return given


@pytest.fixture(scope="session")
def default(given):
    """entry -> its task at its defaults."""
    return lambda entry: entry.create(entry.resolve(given(entry)))
