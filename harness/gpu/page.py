"""docs/gpu.md from a folder of results: what a GPU was seen to do, and plainly what none has tried."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from . import wheels
from .claims import CLAIMS
from .pieces import PIECE_MINUTES, Piece
from .results import DONE, Result

FAMILIES = {
    "architecture-": ("output and gradients of every architecture against its float64 reference, one a family", "2"),
    "speed-": ("speed of every architecture to 65,536 steps, in groups, each checked before it gets a speed", "7"),
    "claim-": ("a claim with a known answer", "as below"),
}
"""Pieces that are made from what is registered: one line for all, so that a new architecture changes no page."""

FEATURES = (
    ("mamba-ssm's and causal-conv1d's kernels", "used where they are installed; the record names them", "no"),
    (
        "flash-linear-attention's kernels",
        "linear-attention, gated-linear-attention, retnet and gated-deltanet with `--dtype tf32` or `bfloat16`, rwkv7"
        " with `bfloat16`; they multiply float32 in tf32, so with `--dtype float32` the plain form runs",
        "in Triton's interpreter, float32: outputs and gradients are those of the plain forms",
    ),
    (
        "global attention by torch's flash path",
        "`scaled_dot_product_attention`; the record names the backend",
        "yes, on the CPU's backend",
    ),
    (
        "attention in a window by flex_attention",
        "from 512 steps and four windows on (`window_path`, a rule that is not measured)",
        "its mask, its blocks and its uncompiled form, against the band in float64",
    ),
    ("many seeds at once", "`run --replicas N`; a column `replicas`", "yes: each seed against the seed alone"),
    ("many trials of the paper's protocol at once", "`run --replicas N`", "yes: each trial against the trial alone"),
    (
        "the training step as a CUDA graph",
        "`run --cuda-graphs`; a column `cuda_graph`, and why not in `training_note`",
        "its bookkeeping only, with a stand-in for the capture",
    ),
    (
        "number formats",
        "`run` and `speed` take `--dtype float32`, `tf32` (CUDA) or `bfloat16`; recorded",
        "bfloat16 and float32",
    ),
    ("a run done twice", "one run of every cell; the record holds the difference", "its bookkeeping"),
    ("out of memory", "a record with that status; the study goes on", "yes, on a CPU"),
    ("placement and timing on a GPU", "`--device cuda`; torch's clock, which waits for the GPU", "no"),
)
"""What exists for GPUs, how it is asked for, and how far it was tested without one."""


def render(results: Sequence[Result], pieces: Sequence[Piece]) -> str:
    """The page. Results of a CPU prove nothing of a GPU and are left out; no results make a page that says so."""
    found = [result for result in results if result.device == "cuda" and not result.small]
    parts = [_opening(found, pieces), _how(), _pieces(found, pieces), _features(bool(found)), _claims(), _wheels()]
    if found:
        parts.append(_rows(found))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _opening(found: Sequence[Result], pieces: Sequence[Piece]) -> list[str]:
    title = "# On a GPU"
    if not found:
        return [
            title,
            "",
            _text(
                "**Untested: nothing of this project has been run on a GPU.** What is written for GPUs stands below,",
                "with how far a CPU could test it. No speed and no agreement on CUDA is claimed, here or on any",
                "other page.",
            ),
        ]
    cards = sorted({result.card for result in found})
    commits = sorted({result.commit or "unknown" for result in found})
    done = [result for result in found if result.status == DONE]
    wrong = [result.piece for result in found if not result.is_right]
    missing = [piece.name for piece in pieces if piece.name not in {result.piece for result in done}]
    lines = [title, "", f"Run on **{', '.join(cards)}**, at commit {', '.join(commits)}; {_versions(found)}."]
    if len(cards) > 1:
        lines += ["", "The results come from different cards; each piece names its own."]
    lines += ["", f"{len(done)} of {len(pieces)} pieces came to their end."]
    lines.append(f"**Wrong or failed: {', '.join(wrong)}.**" if wrong else "Nothing in them was wrong.")
    if missing:
        lines.append(f"**Untested: {', '.join(missing)}.**")
    return lines


def _versions(found: Sequence[Result]) -> str:
    told = {f"{name} {version}" for result in found for name, version in result.versions.items() if version}
    absent = {name for result in found for name, version in result.versions.items() if version is None}
    return ", ".join(sorted(told)) + (f"; not installed: {', '.join(sorted(absent))}" if absent else "")


def _how() -> list[str]:
    return [
        "## How it is run",
        "",
        "```",
        "make gpu                                            # or: python -m harness gpu-check",
        "python -m harness gpu-check list                    # pieces, estimated minutes, what is done",
        "python -m harness gpu-check --minutes 8             # as many pieces as fit; the same command goes on",
        "python -m harness gpu-check --only kernels speed-   # by name, or by the beginning of it",
        "python -m harness gpu-check report .harness/gpu -o docs/gpu.md",
        "```",
        "",
        _text(
            f"Each piece runs in a process of its own for at most {PIECE_MINUTES:g} minutes and leaves one JSON file",
            "in `.harness/gpu`. What is finished is not done again, unless its code, the card or a package with",
            "kernels has changed. What breaks or hangs costs its own piece only and is tried again, last, by the",
            "next call. Exit code 0: all right; 1: something is wrong, failed or left; 2: no GPU. Without a GPU the",
            "pieces are tried at small sizes on the CPU, which tests the check itself and nothing else; this page",
            "leaves such results out. What it rests on is kept in `docs/records/gpu`, from which a test renders it.",
        ),
    ]


def _pieces(found: Sequence[Result], pieces: Sequence[Piece]) -> list[str]:
    by_name = {result.piece: result for result in found}
    if found:
        lines = ["## Pieces", "", "| piece | what | card | result | seconds |", "| --- | --- | --- | --- | ---: |"]
        for piece in pieces:
            result = by_name.get(piece.name)
            told = f"{result.card} | {_cell(result.verdict)} | {result.seconds:.0f}" if result else "| untested |"
            lines.append(f"| {piece.name} | {piece.title} | {told} |")
        return lines
    lines = ["## Pieces", "", "| piece | what | minutes, estimated |", "| --- | --- | ---: |"]
    families: set[str] = set()
    for piece in pieces:
        family = next((each for each in FAMILIES if piece.name.startswith(each)), None)
        if family is None:
            lines.append(f"| {piece.name} | {piece.title} | {piece.minutes:g} |")
        elif family not in families:
            families.add(family)
            what, minutes = FAMILIES[family]
            lines.append(f"| {family}... | {what} | {minutes} each |")
    return lines


def _features(some: bool) -> list[str]:
    opening = (
        "What a CPU could test of it; the pieces above say what a GPU did." if some else "None of it has run on a GPU."
    )
    lines = ["## What is written for GPUs", "", opening, "", "| what | how | tested on a CPU |", "| --- | --- | --- |"]
    lines += [f"| {what} | {how} | {tested} |" for what, how, tested in FEATURES]
    return [
        *lines,
        "",
        _text(
            "`--replicas` and `--cuda-graphs` are refused on a CPU in one line. Seeds trained together differ from",
            "the same seeds alone by rounding; whether a run was is provenance, not part of its key, and a table",
            "that mixes both says so. A kernel without a batching rule (Mamba's loop of torch operations,",
            "mamba-ssm's CUDA kernels) trains its seeds alone, with the reason recorded.",
        ),
    ]


def _claims() -> list[str]:
    lines = ["## Known answers that take a GPU", ""]
    if not CLAIMS:
        return [*lines, "None is declared yet."]
    lines += [
        "| claim | published | source | setting | minutes, estimated | command |",
        "| --- | --- | --- | --- | ---: | --- |",
    ]
    for claim in CLAIMS:
        told = (claim.title, claim.published, claim.source, claim.setting, f"{claim.minutes:g}", f"`{claim.command}`")
        lines.append(f"| {' | '.join(map(_cell, told))} |")
    return lines


def _wheels() -> list[str]:
    return [
        "## Installing",
        "",
        _text(
            "`make gpu` installs what it needs: torch's CUDA build, flash-linear-attention, and mamba-ssm and",
            "causal-conv1d from their sources where there is a CUDA compiler. Without make, do as the README says,",
            'but leave the two `MAMBA_` settings away, and `pip install -e ".[flash]"` too. On a machine without',
            "network bring the packages along in a folder `wheels/` beside the Makefile, which then asks no index.",
            "They are fetched on a machine with network and the same Python and system:",
        ),
        "",
        "```",
        *wheels.COMMANDS,
        "```",
        "",
        *wheels.lines(),
    ]


def _rows(found: Sequence[Result]) -> list[str]:
    lines = ["## Everything that was tried"]
    for result in found:
        lines += ["", f"### {result.piece}", "", f"{result.title}; {result.card}; {result.verdict}.", ""]
        lines += ["| case | | found |", "| --- | --- | --- |"]
        words = {True: "right", False: "**WRONG**", None: ""}
        lines += [f"| {_cell(row.case)} | {words[row.passed]} | {_cell(row.found)} |" for row in result.rows]
    return lines


def _text(*parts: str) -> str:
    """A paragraph."""
    return textwrap.fill(" ".join(parts), width=120, break_long_words=False, break_on_hyphens=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
