"""A plain C++ file, compiled for this machine when it is first needed and kept as a shared library.

Without torch's headers that takes seconds rather than half a minute. Libraries live in `$XDG_CACHE_HOME` or `~/.cache`,
under `scan-order-harness`, each named by what made it: source, header, flags, compiler, processor. One built elsewhere,
with a home shared between machines for instance, is never loaded by mistake.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-pthread", "-shared", "-fPIC")
HEADER = Path(__file__).with_name("simd.h")
"""What all sources may include."""

LONGEST_BUILD_SECONDS = 300


def cpp_wanted() -> bool:
    """False where the environment says HARNESS_NO_CPP=1."""
    return os.environ.get("HARNESS_NO_CPP", "") in ("", "0")


@functools.cache
def load(source: Path) -> ctypes.CDLL | None:
    """The library made of `source`, or None without a compiler, and after one warning where building failed.

    The compiler is `$CXX`, else `c++`.
    """
    compiler = shutil.which(os.environ.get("CXX") or "c++")
    if compiler is None:
        return None
    try:
        library = _place(source, compiler)
        if not library.exists():
            _build(source, compiler, library)
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError) as error:
        warnings.warn(
            f"{source.name} cannot be used ({_first_error(error)}); slower torch operations take its place;"
            " HARNESS_NO_CPP=1 silences this",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _place(source: Path, compiler: str) -> Path:
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=30).stdout
    texts = (" ".join(FLAGS), compiler, _processor())
    made_of = [source.read_bytes(), HEADER.read_bytes(), version, *(text.encode() for text in texts)]
    digest = hashlib.sha256(b"\0".join(made_of)).hexdigest()[:24]
    # As the XDG specification has it: a relative path is to be ignored.
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = cache if cache.is_absolute() else Path.home() / ".cache"
    return cache / "scan-order-harness" / f"{source.stem}-{digest}.so"


def _processor() -> str:
    """What decides on `-march=native`: the model and the features the system reports."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    telling = ("model name", "cpu family", "model", "stepping", "flags", "Features", "CPU part")
    return "\n".join(dict.fromkeys(line for line in lines if line.partition(":")[0].strip() in telling))


def _build(source: Path, compiler: str, library: Path) -> None:
    """Compiles beside the place and moves there in one step: of several workers at once, each sees all or nothing."""
    library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        command = [compiler, *FLAGS, "-I", str(HEADER.parent), str(source), "-o", str(made)]
        subprocess.run(command, capture_output=True, check=True, text=True, timeout=LONGEST_BUILD_SECONDS)
        os.replace(made, library)


def _first_error(error: Exception) -> str:
    """One line: the compiler's first error where it gave one."""
    output = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    if not isinstance(output, str):
        return str(error)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else str(error))
