"""Results of compress and decompress, as they are printed."""

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tunewright.cli.output.formatting import from_here, print_line
from tunewright.runs.quantities import duration

if TYPE_CHECKING:
    from tunewright.deliver.compression.bd_rate import BdRate
    from tunewright.deliver.compression.compare import ComparedSet, CompareReport
    from tunewright.deliver.compression.compress import CompressReport, DecompressReport

SHOWN = 30
"""Maximum number of files in the table; --json lists all."""


def print_compressed(console: Console, found: "CompressReport") -> None:
    """Print the bits per pixel, real and estimated, of each file and in total."""
    _notes(console, found)
    table = Table(title=f"{len(found.files)} compressed", caption_justify="left")
    for name in ("file", "pixels", "bytes", "bpp", "estimated", "seconds"):
        table.add_column(name, justify="left" if name == "file" else "right", overflow="fold")
    for one in found.files[:SHOWN]:
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
    verified = "each decoded again and compared" if found.verified else "not verified"
    print_line(
        console,
        f"{found.bytes:,} bytes for {_count(found.pixels, 'pixel')}, "
        f"{found.bpp:.4f} bits per pixel, in {duration(found.seconds)} on "
        f"{found.device} with {_count(found.threads, 'thread')}; {verified}",
    )
    _print_failures(console, found)


def print_decompressed(console: Console, found: "DecompressReport") -> None:
    """Print the pictures that were written."""
    _notes(console, found)
    for one in found.files[:SHOWN]:
        print_line(
            console,
            f"  {one['output']}  {one['width']} x {one['height']}, {duration(one['seconds'])} "
            f"({duration(one['coder_seconds'])} of them in the entropy coder)",
        )
    _more(console, found)
    print_line(
        console,
        f"{len(found.files)} decompressed, {_count(found.pixels, 'pixel')}, in "
        f"{duration(found.seconds)}",
    )
    _print_failures(console, found)


def _notes(console: Console, found: "CompressReport | DecompressReport") -> None:
    for note in [*found.notes, *(note for one in found.files for note in one["notices"])]:
        print_line(console, f"note: {note}")


def _more(console: Console, found: "CompressReport | DecompressReport") -> None:
    if len(found.files) > SHOWN:
        print_line(console, f"  and {len(found.files) - SHOWN:,} more: --json lists them")


def _print_failures(console: Console, found: "CompressReport | DecompressReport") -> None:
    if found.failed:
        print_line(console, f"{len(found.failed):,} could not be used:")
    for name, why in found.failed.items():
        print_line(console, f"  {name}: {why}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def print_bd_rate(console: Console, found: "BdRate") -> None:
    """Print both numbers, the range they cover, the notices, and the plot."""
    for line in _lines(found):
        print_line(console, line)
    if found.plot is not None:
        print_line(console, f"  {found.plot}")


def _lines(found: "BdRate") -> list[str]:
    """Return both numbers, the range they cover, and the notices, as lines."""
    name = "PSNR" if found.metric == "psnr" else "MS-SSIM"
    sides = {"anchor": found.anchor, "test": found.test}
    lines = [f"{side:<8} {named.name}, {_points(named.curve)}" for side, named in sides.items()]
    if math.isfinite(found.bd_rate):
        verdict = "fewer" if found.bd_rate < 0 else "more"
        lines.append(
            f"BD-rate  {found.bd_rate:+.3f} % (the test needs {abs(found.bd_rate):.3f} % {verdict} "
            f"bits at equal {name})"
        )
    if math.isfinite(found.bd_psnr):
        lines.append(f"BD-{name:<5} {found.bd_psnr:+.4f} dB at equal rate")
    if found.overlap is not None:
        shared = found.overlap
        lines.append(
            f"method   {found.method}, over {shared.low:.2f} to {shared.high:.2f} dB "
            f"({shared.share:.0%} of what either reaches)"
        )
    return lines + [f"note: {notice}" for notice in found.notices]


def print_compared(console: Console, found: "CompareReport") -> None:
    """Print the points and BD-rates of each set, the notes and the files."""
    for note in found.notes:
        print_line(console, f"note: {note}")
    for one in found.sets:
        console.print(_points_table(one))
        console.print(_rates_table(one, found))
        for note in one.notes:
            print_line(console, f"note: {note}")
        for name, why in one.skipped.items():
            print_line(console, f"  {name}: {why}")
        for file in one.files:
            print_line(console, f"  {from_here(file)}")


def _points_table(found: "ComparedSet") -> Table:
    table = Table(title=f"{found.name}, {_count(found.images, 'picture')}")
    table.add_column("codec", overflow="fold")
    for name in ("point", "bpp", "estimated", "PSNR dB", "MS-SSIM"):
        table.add_column(name, justify="right")
    for curve in found.curves:
        for place, point in enumerate(curve.points):
            estimated, near = point.get("bpp_estimated"), point.get("ms_ssim")
            table.add_row(
                "" if place else curve.name,
                point["point"],
                f"{point['bpp']:.4f}",
                "" if estimated is None else f"{estimated:.4f}",
                f"{point['psnr']:.2f}",
                "" if near is None else f"{near:.4f}",
                end_section=place == len(curve.points) - 1,
            )
    return table


def _rates_table(found: "ComparedSet", report: "CompareReport") -> Table:
    what = "PSNR" if report.metric == "psnr" else "MS-SSIM"
    title = f"BD-rate against {report.anchor}, by {what} ({report.method})"
    table = Table(title=title, caption="95 % intervals over pictures, by the bootstrap")
    table.add_column("codec", overflow="fold")
    table.add_column("BD-rate %", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("", overflow="fold")
    for curve in found.curves:
        ends = curve.interval
        table.add_row(
            curve.name,
            "" if curve.bd_rate is None else f"{curve.bd_rate:+.2f}",
            "" if ends is None else f"{ends[0]:+.2f} .. {ends[1]:+.2f}",
            curve.why,
        )
    for name, why in found.absent.items():
        table.add_row(name, "", "", why)
    return table


def _points(curve: Any) -> str:
    rates = f"{curve.bpp[0]:.4g} to {curve.bpp[-1]:.4g} bpp"
    return f"{len(curve.bpp)} points, {rates}, " + (
        f"{min(curve.quality):.2f} to {max(curve.quality):.2f} dB"
    )
