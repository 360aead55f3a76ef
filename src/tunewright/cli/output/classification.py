"""Results of the commands about classifiers, as they are printed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewright.cli.output.formatting import format_command
from tunewright.runs.quantities import duration, size

if TYPE_CHECKING:
    from tunewright.deliver.classification.check import CheckReport


def print_predicted(
    console: Console, found: Mapping[str, Any], output: Path, *, as_json: bool
) -> None:
    """Print the number of predictions, the gain of the views, unreadable pictures and files."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for note in [*found["notes"], *found["notices"]]:
        _line(console, f"note: {note}")
    seconds = found["seconds"]["predicting"]
    said = found["said"]
    _line(
        console,
        f"{found['predictions']:,} predictions of {len(said):,} different labels in "
        f"{duration(seconds)} ({found['predictions'] / max(seconds, 1e-9):,.0f} pictures a second)",
    )
    if found["tta"] is not None:
        _line(console, _tta(found))
    if found["skipped"]:
        _line(
            console,
            f"note: {len(found['skipped']):,} pictures could not be read and were given the most "
            "frequent class of the training:",
        )
        for name, reason in list(found["skipped"].items())[:10]:
            _line(console, f"  {name}: {reason}")
        if len(found["skipped"]) > 10:
            _line(console, f"  and {len(found['skipped']) - 10} more: --json lists them")
    for file in found["files"]:
        _line(console, f"  {file}")
    _line(console, f"next: {format_command('submit', found['run'])} --predictions {output}")


def _tta(found: Mapping[str, Any]) -> str:
    """Describe in a sentence what the views changed on the validation set."""
    from tunewright.analysis.score_intervals import describe_paired

    views = ", ".join(found["views"])
    tta = found["tta"]
    if "unknown" in tta:
        return f"views {views}: their gain is not known ({tta['unknown']})"
    gain = tta["gain"]
    verdict = ""
    if gain["low"] <= 0 <= gain["high"]:
        verdict = ": not distinguishable from none"
    elif gain["high"] < 0:
        verdict = ": a loss"
    return (
        f"views {views}: validation accuracy {tta['plain']:.4f} without, {tta['with_views']:.4f} "
        f"with them, {gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}, "
        f"{describe_paired(gain)}, n = {tta['pictures']}){verdict}"
    )


def print_benchmark(console: Console, figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the latencies of one picture, or the JSON."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    _line(console, f"one picture at a time on {figures['device']}, views {figures['views']}")
    console.print(_latencies(figures))


def _latencies(figures: Mapping[str, Any]) -> Table:
    table = Table(title="milliseconds a picture, batch 1")
    for name in ("", "p50", "p95", "mean", "runs"):
        table.add_column(name, justify="left" if not name else "right")
    rows = {
        "file to label": figures["whole"],
        "models alone, float32": figures["models"],
        **{f"models alone, {name}": taken for name, taken in figures["precisions"].items()},
    }
    for name, taken in rows.items():
        cells = [f"{taken[key]:.2f}" for key in ("p50_ms", "p95_ms", "mean_ms")]
        same = "" if taken.get("same_label", True) else " (another label)"
        table.add_row(name + same, *cells, str(taken["runs"]))
    return table


def print_ensemble(console: Console, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the members, the gain over the best of them, and their total cost."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for note in found["notes"]:
        _line(console, f"note: {note}")
    table = Table(title=f"{found['method']} of {len(found['members'])} runs")
    table.add_column("run", overflow="fold")
    table.add_column("validation accuracy", justify="right")
    table.add_column("weight", justify="right")
    for one in found["members"]:
        table.add_row(one["run"], f"{one['accuracy']:.4f}", f"{one['weight']:.3f}")
    console.print(table)
    _line(console, f"{found['method']}: validation accuracy {found['accuracy']:.4f}")
    _line(console, found["verdict"])
    costs = found["costs"]
    passed = {name: "within" if ok else "over" for name, ok in costs["passed"].items()}
    sizes = {name: size(count) for name, count in costs["bytes"].items()}
    _line(
        console,
        f"all together: {sizes['float32']} ({passed['size']} the limit), {sizes['float16']} in "
        f"float16 ({passed['size_half']}), p95 {costs['latency']['p95_ms']:.1f} ms a picture on "
        f"{costs['device']} ({passed['latency']})",
    )
    _line(console, f"  {found['folder']}")
    _line(console, f"next: {format_command('predict', found['folder'])} --data DIR")


def print_checked(console: Console, report: "CheckReport", *, as_json: bool) -> None:
    """Print the table of limits and its notes, or the JSON."""
    if as_json:
        rows = [asdict(row) for row in report.rows]
        print(
            json.dumps(
                {"passed": report.passed, "rows": rows, "notes": report.notes, **report.figures},
                indent=2,
            )
        )
        return
    table = Table(title="passed" if report.passed else "FAILED")
    for name in ("", "measured", "limit", ""):
        table.add_column(name, overflow="fold")
    verdicts: dict[bool | None, Text | str] = {
        True: Text("pass", "green"),
        False: Text("FAIL", "red"),
        None: "",
    }
    for row in report.rows:
        table.add_row(row.name, row.measured, row.limit, verdicts[row.passed])
    console.print(table)
    if report.figures["precisions"]:
        console.print(_latencies(report.figures))
    for note in report.notes:
        _line(console, f"note: {note}")


def print_exported(console: Console, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the file, its size, and the largest difference from the run's logits."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for note in found["notes"]:
        _line(console, f"note: {note}")
    limit = "" if found["limit"] is None else f" (limit {found['limit']:g})"
    _line(
        console,
        f"{found['to']}, {found['bytes']:,} bytes ({found['bytes'] / 1e6:.1f} MB, "
        f"{found['bytes'] / 2**20:.1f} MiB): "
        f"max |delta| of the logits {found['largest_difference']:.3g}{limit}",
    )
    if (scored := found.get("accuracy")) is not None:
        _line(
            console,
            f"accuracy not measured: {scored['unknown']}"
            if "unknown" in scored
            else f"validation accuracy {scored['float32']:.4f} in float32, "
            f"{scored['float16']:.4f} in float16 (n = {scored['pictures']})",
        )
    side = found["size"]
    taken = f"[batch, 3, {side}, {side}]"
    if len(found["inputs"]) > 1:
        taken = f"of each member's size ({', '.join(found['inputs'])})"
    _line(
        console,
        f"takes uint8 RGB pictures {taken}, returns {found['classes']} logits; "
        "the normalisation is inside"
        if found["to"] != "safetensors"
        else "classes, size, normalisation and the model section are in its header",
    )
    _line(console, f"  {found['file']}")


def print_submitted(console: Console, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what was checked, what was packed, and its size."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for note in found["notes"]:
        _line(console, f"note: {note}")
    _line(console, f"{found['rows']:,} predictions are in order: {found['predictions']}")
    if not found["made_here"]:
        _line(
            console,
            "note: these predictions are not the latest of this run: code/inference.py in the ZIP "
            "may give different ones",
        )
    if found["output"] is None:
        _line(console, "no ZIP yet; nothing was written")
        return
    table = Table(title="submission")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for name, count in _summarise_files(found["files"]):
        table.add_row(name, f"{count:,}")
    console.print(table)
    state = "is whole, nothing was written" if found["verified_only"] else "written and read back"
    _line(
        console,
        f"{found['bytes']:,} bytes, {state}; model {found['model']}",
    )
    _line(console, f"  {found['output']}")


def _summarise_files(files: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return names and bytes of a submission's files, with all sources as one entry."""
    sources = [count for name, count in files if name.startswith("code/tunewright/")]
    shown = [(name, count) for name, count in files if not name.startswith("code/tunewright/")]
    return [*shown, (f"code/tunewright/ ({len(sources)} files)", sum(sources))]


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False)
