"""Results of compress and decompress, as they are printed."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tunewright.runs.quantities import duration

SHOWN = 30
"""Maximum number of files in the table; --json lists all."""


def print_compressed(console: Console, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the bits per pixel, real and estimated, of each file and in total."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    _notes(console, found)
    table = Table(title=f"{len(found['files'])} compressed", caption_justify="left")
    for name in ("file", "pixels", "bytes", "bpp", "estimated", "seconds"):
        table.add_column(name, justify="left" if name == "file" else "right", overflow="fold")
    for one in found["files"][:SHOWN]:
        pixels = one["width"] * one["height"]
        table.add_row(
            one["output"],
            f"{one['width']} x {one['height']}",
            f"{one['bytes']:,}",
            f"{one['bpp']:.4f}",
            f"{sum(one['estimated_bits'].values()) / pixels:.4f}",
            f"{one['seconds']:.2f}",
        )
    console.print(table)
    _more(console, found)
    verified = "each decoded again and compared" if found["verified"] else "not verified"
    _line(
        console,
        f"{found['bytes']:,} bytes for {_count(found['pixels'], 'pixel')}, "
        f"{found['bpp']:.4f} bits per pixel, in {duration(found['seconds'])} on "
        f"{found['device']} with {_count(found['threads'], 'thread')}; {verified}",
    )
    _print_failures(console, found)


def print_decompressed(console: Console, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the pictures that were written."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    _notes(console, found)
    for one in found["files"][:SHOWN]:
        _line(
            console,
            f"  {one['output']}  {one['width']} x {one['height']}, {duration(one['seconds'])} "
            f"({duration(one['coder_seconds'])} of them in the entropy coder)",
        )
    _more(console, found)
    _line(
        console,
        f"{len(found['files'])} decompressed, {_count(found['pixels'], 'pixel')}, in "
        f"{duration(found['seconds'])}",
    )
    _print_failures(console, found)


def _notes(console: Console, found: Mapping[str, Any]) -> None:
    for note in [*found["notes"], *(note for one in found["files"] for note in one["notices"])]:
        _line(console, f"note: {note}")


def _more(console: Console, found: Mapping[str, Any]) -> None:
    if len(found["files"]) > SHOWN:
        _line(console, f"  and {len(found['files']) - SHOWN:,} more: --json lists them")


def _print_failures(console: Console, found: Mapping[str, Any]) -> None:
    if found["failed"]:
        _line(console, f"{len(found['failed']):,} could not be used:")
    for name, why in found["failed"].items():
        _line(console, f"  {name}: {why}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False)
