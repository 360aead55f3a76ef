"""Results of the commands about classifiers, as they are printed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewright.cli.output.formatting import format_command, print_line, quote
from tunewright.runs.quantities import duration, size

if TYPE_CHECKING:
    from tunewright.deliver.classification.augment import ContactSheetReport
    from tunewright.deliver.classification.check import CheckReport, CostReport
    from tunewright.deliver.classification.ensemble_report import EnsembleReport
    from tunewright.deliver.classification.export import ExportReport
    from tunewright.deliver.classification.models import ModelList
    from tunewright.deliver.classification.predict import Predictions
    from tunewright.deliver.classification.submit import SubmissionReport

MB, MIB = 10**6, 2**20


def print_predicted(console: Console, found: "Predictions") -> None:
    """Print the number of predictions, the gain of the views, unreadable pictures and files."""
    for note in [*found.notes, *found.notices]:
        print_line(console, f"note: {note}")
    if found.top:
        _print_likeliest(console, found)
        return
    seconds = found.seconds["predicting"]
    said = found.said
    if found.thresholds is not None:
        print_line(
            console,
            f"{sum(said.values()):,} labels for {found.predictions:,} pictures, each from a "
            "probability on: "
            + ", ".join(f"{name} {least:.3g}" for name, least in list(found.thresholds.items())[:8])
            + (f" and {len(found.thresholds) - 8} more" if len(found.thresholds) > 8 else ""),
        )
    print_line(
        console,
        f"{found.predictions:,} predictions of {len(said):,} different labels in "
        f"{duration(seconds)} ({found.predictions / max(seconds, 1e-9):,.0f} pictures a second)",
    )
    if found.tta is not None:
        print_line(console, _tta(found, found.tta))
    if found.skipped:
        print_line(
            console,
            f"note: {len(found.skipped):,} pictures could not be read and were given "
            + ("no label:" if found.thresholds else "the most frequent class of the training:"),
        )
        for name, reason in list(found.skipped.items())[:10]:
            print_line(console, f"  {name}: {reason}")
        if len(found.skipped) > 10:
            print_line(console, f"  and {len(found.skipped) - 10} more: --json lists them")
    for file in found.files:
        print_line(console, f"  {file}")
    output = quote(found.files[0])
    print_line(console, f"next: {format_command('submit', found.run)} --predictions {output}")


def _print_likeliest(console: Console, found: "Predictions") -> None:
    """Print the likeliest classes of single pictures, with their probabilities."""
    for one in found.top:
        if (reason := found.skipped.get(one["picture"])) is not None:
            print_line(console, f"{one['picture']}: could not be read: {reason}")
            continue
        print_line(console, one["picture"])
        width = max(len(_class_title(row)) for row in one["classes"])
        for row in one["classes"]:
            mark = "  predicted" if row.get("predicted") else ""
            print_line(console, f"  {_class_title(row):<{width}}  {row['probability']:.4f}{mark}")
    if found.tta is not None:
        print_line(console, _tta(found, found.tta))
    for file in found.files:
        print_line(console, f"  {file}")


def _class_title(row: Mapping[str, Any]) -> str:
    """Return a class as the training data writes it, with its readable name if that differs."""
    return row["class"] if row["name"] == row["class"] else f"{row['class']} ({row['name']})"


def _tta(found: "Predictions", tta: Mapping[str, Any]) -> str:
    """Describe in a sentence what the views changed on the validation set."""
    from tunewright.analysis.score_intervals import describe_paired

    views = ", ".join(found.views)
    if "unknown" in tta:
        return f"views {views}: their gain is not known ({tta['unknown']})"
    gain = tta["gain"]
    verdict = ""
    if gain["low"] <= 0 <= gain["high"]:
        verdict = ": not distinguishable from none"
    elif gain["high"] < 0:
        verdict = ": a loss"
    return (
        f"views {views}: validation {_score_name(tta)} {tta['plain']:.4f} without, "
        f"{tta['with_views']:.4f} with them, {gain['value']:+.4f} "
        f"({gain['low']:+.4f} to {gain['high']:+.4f}, {describe_paired(gain)}, "
        f"n = {tta['pictures']}){verdict}"
    )


def _score_name(found: Mapping[str, Any]) -> str:
    """Return the name of the score that a gain was measured in."""
    from tunewright.deliver.classification.views_gain import SCORES

    return SCORES[found.get("metric", "accuracy")]


def print_benchmark(console: Console, figures: "CostReport") -> None:
    """Print the latencies of one picture."""
    print_line(console, f"one picture at a time on {figures.device}, views {figures.views}")
    console.print(_latencies(figures))


def _latencies(figures: "CostReport") -> Table:
    table = Table(title="milliseconds a picture, batch 1")
    for name in ("", "p50", "p95", "mean", "runs"):
        table.add_column(name, justify="left" if not name else "right")
    rows = {
        "file to label": figures.whole,
        "models alone, float32": figures.models,
        **{f"models alone, {name}": taken for name, taken in figures.precisions.items()},
    }
    for name, taken in rows.items():
        cells = [f"{taken[key]:.2f}" for key in ("p50_ms", "p95_ms", "mean_ms")]
        same = "" if taken.get("same_label", True) else " (another label)"
        table.add_row(name + same, *cells, str(taken["runs"]))
    return table


def print_ensemble(console: Console, found: "EnsembleReport") -> None:
    """Print the members, the gain over the best of them, and their total cost."""
    for note in found.notes:
        print_line(console, f"note: {note}")
    table = Table(title=f"{found.method} of {len(found.members)} runs")
    table.add_column("run", overflow="fold")
    score = _score_name({"metric": found.metric})
    table.add_column(f"validation {score}", justify="right")
    table.add_column("weight", justify="right")
    for one in found.members:
        table.add_row(one["run"], f"{one['accuracy']:.4f}", f"{one['weight']:.3f}")
    console.print(table)
    print_line(console, f"{found.method}: validation {score} {found.accuracy:.4f}")
    print_line(console, found.verdict)
    costs = found.costs
    passed = {name: "within" if ok else "over" for name, ok in costs["passed"].items()}
    sizes = {name: size(count) for name, count in costs["bytes"].items()}
    print_line(
        console,
        f"all together: {sizes['float32']} ({passed['size']} the limit), {sizes['float16']} in "
        f"float16 ({passed['size_half']}), p95 {costs['latency']['p95_ms']:.1f} ms a picture on "
        f"{costs['device']} ({passed['latency']})",
    )
    print_line(console, f"  {found.folder}")
    print_line(console, f"next: {format_command('predict', found.folder)} --data DIR")


def print_checked(console: Console, report: "CheckReport") -> None:
    """Print the table of limits and its notes."""
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
    if report.figures.precisions:
        console.print(_latencies(report.figures))
    for note in report.notes:
        print_line(console, f"note: {note}")


def print_exported(console: Console, found: "ExportReport") -> None:
    """Print the file, its size, and the largest difference from the run's logits."""
    for note in found.notes:
        print_line(console, f"note: {note}")
    limit = "" if found.limit is None else f" (limit {found.limit:g})"
    print_line(
        console,
        f"{found.to}, {found.bytes:,} bytes ({found.bytes / 1e6:.1f} MB, "
        f"{found.bytes / 2**20:.1f} MiB): "
        f"max |delta| of the logits {found.largest_difference:.3g}{limit}",
    )
    if (scored := found.accuracy) is not None:
        print_line(
            console,
            f"accuracy not measured: {scored['unknown']}"
            if "unknown" in scored
            else f"validation {_score_name(scored)} {scored['float32']:.4f} in float32, "
            f"{scored['float16']:.4f} in float16 (n = {scored['pictures']})",
        )
    side = found.size
    taken = f"[batch, 3, {side}, {side}]"
    if len(found.inputs) > 1:
        taken = f"of each member's size ({', '.join(found.inputs)})"
    print_line(
        console,
        f"takes uint8 RGB pictures {taken}, returns {found.classes} logits; "
        "the normalisation is inside"
        if found.to != "safetensors"
        else "classes, size, normalisation and the model section are in its header",
    )
    print_line(console, f"  {found.file}")


def print_submitted(console: Console, found: "SubmissionReport") -> None:
    """Print what was checked, what was packed, and its size."""
    for note in found.notes:
        print_line(console, f"note: {note}")
    print_line(console, f"{found.rows:,} predictions are in order: {found.predictions}")
    if not found.made_here:
        print_line(
            console,
            "note: these predictions are not the latest of this run: code/inference.py in the ZIP "
            "may give different ones",
        )
    if found.output is None:
        print_line(console, "no ZIP yet; nothing was written")
        return
    table = Table(title="submission")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for name, count in _summarise_files(found.files):
        table.add_row(name, f"{count:,}")
    console.print(table)
    state = "is whole, nothing was written" if found.verified_only else "written and read back"
    print_line(
        console,
        f"{found.bytes:,} bytes, {state}; model {found.model}",
    )
    print_line(console, f"  {found.output}")


def _summarise_files(files: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return names and bytes of a submission's files, with all sources as one entry."""
    sources = [count for name, count in files if name.startswith("code/tunewright/")]
    shown = [(name, count) for name, count in files if not name.startswith("code/tunewright/")]
    return [*shown, (f"code/tunewright/ ({len(sources)} files)", sum(sources))]


def print_models(console: Console, found: "ModelList") -> None:
    """Print a table with one row per model, and the notices."""
    console.print(models_table(found))
    for notice in found.notices:
        print_line(console, f"note: {notice}")


def models_table(found: "ModelList") -> Table:
    """Return a table with one row per model."""
    table = Table(title=f"image models, {found.classes} classes")
    table.add_column("name", overflow="fold")
    for name in ("parameters", "no head", "fp32 MB", "MiB", "fp16 MB", "MiB", "input"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("licence of weights")
    for row in found.rows:
        sizes = [row["bytes_fp32"], row["bytes_fp16"]]
        table.add_row(
            row["name"],
            f"{row['parameters']:,}",
            f"{row['backbone_parameters']:,}",
            *(f"{size / unit:.1f}" for size in sizes for unit in (MB, MIB)),
            f"{row['input_size']}" + (" only" if row["fixed"] else ""),
            row["licence"],
        )
    return table


def print_augmented(console: Console, drawn: "ContactSheetReport") -> None:
    """Print the file that was drawn, and what is in it."""
    for notice in drawn.notices:
        print_line(console, f"note: {notice}")
    print_line(
        console,
        f"{len(drawn.pictures)} training pictures at {drawn.size} px, "
        f"{', '.join(drawn.levels)}: {drawn.file}",
    )
