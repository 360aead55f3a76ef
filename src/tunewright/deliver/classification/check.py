"""`tunewright check`: size, latency, parameters and input of what is delivered, against limits."""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tunewright.classification.inference.tta_views import Views, read_views
from tunewright.deliver.classification.open_members import open_blend
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection, resolve_runs, run_in_subprocess
from tunewright.errors import NotWritten, UsageError
from tunewright.runs.atomic import write_json
from tunewright.runs.machine import temporary_folders
from tunewright.runs.quantities import bytes_of, count_of, milliseconds_of

MAX_SIZE, MAX_LATENCY, MAX_PARAMS, INPUT = "500MB", "100ms", "10B", 600
"""Default limits: those of the contest in the flower guide."""
FILE = "check.json"


@dataclass(frozen=True)
class CheckRow:
    """A row of the report. passed: None where there is no limit."""

    name: str
    measured: str
    limit: str
    passed: bool | None


@dataclass(frozen=True)
class CheckReport:
    """The report: its lines, what it must be read with, and every figure by name."""

    rows: tuple[CheckRow, ...]
    notes: tuple[str, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether no limit is exceeded."""
        return all(row.passed is not False for row in self.rows)


def check(
    run: Path | str | None = None,
    *,
    checkpoint: Path | str | None = None,
    max_size: str | float = MAX_SIZE,
    max_latency: str | float = MAX_LATENCY,
    max_params: str | float = MAX_PARAMS,
    input_size: int = INPUT,
    half: bool = False,
    tta: bool = False,
    views: str | Iterable[str] = (),
    words: Mapping[str, str] | None = None,
    benchmark: bool = False,
    measurements: int = 100,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> CheckReport:
    """Measure what would be submitted, and compare it with limits; writes `check.json`.

    The size is that of the exported safetensors files, float16 with `half`; the latency that of
    one picture of `input_size` x `input_size` pixels, from its file to its label, through all
    views and members. benchmark: other precisions too. measurements: of each latency, 100 at
    least. Where the folder may only be read, a note says so. Raises UsageError for limits that
    cannot be read.
    """
    limits = (
        _limit("--max-size", bytes_of, max_size),
        _limit("--max-latency", milliseconds_of, max_latency),
        _limit("--max-params", count_of, max_params),
    )
    if input_size < 1:
        raise UsageError(f"--input {input_size}", expected="pixels on a side, such as 600")
    if measurements < 100:
        raise UsageError(f"{measurements} measurements", expected="100 or more")
    chosen = read_views(tta=tta, named=views, words=words)
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    figures = run_in_subprocess(
        selection, _measure, chosen, input_size, measurements, benchmark, on_progress=on_progress
    )
    report = _report(figures, *limits, half=half, notes=selection.notes)
    stored = {
        "passed": report.passed,
        "rows": [asdict(row) for row in report.rows],
        "notes": list(report.notes),
        **report.figures,
    }
    try:
        write_json(selection.folder / FILE, stored)
    except NotWritten as error:  # a folder that may only be read stays as it is
        return replace(report, notes=(*report.notes, error.came))
    return report


def benchmark(
    run: Path | str | None = None,
    *,
    checkpoint: Path | str | None = None,
    input_size: int = INPUT,
    tta: bool = False,
    views: str | Iterable[str] = (),
    words: Mapping[str, str] | None = None,
    measurements: int = 100,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> Mapping[str, Any]:
    """Measure only the latencies of `check`, also with other precisions and memory layouts."""
    chosen = read_views(tta=tta, named=views, words=words)
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    found: Mapping[str, Any] = run_in_subprocess(
        selection, _measure, chosen, input_size, measurements, True, on_progress=on_progress
    )
    return found


def _limit(option: str, read: Callable[[str | float], float], written: str | float) -> float:
    try:
        return read(written)
    except ValueError as error:
        raise UsageError(f"{option} {written}", expected=str(error)) from None


def _measure(
    selection: RunSelection,
    views: Views,
    input_size: int,
    measurements: int,
    precisions: bool,
    on_progress: ProgressCallback,
) -> dict[str, Any]:
    """Every figure, in whichever process may import torch."""
    from tunewright.classification.delivery import latency as costs

    blend = open_blend(selection, views)
    sizes = exported_bytes(blend, selection)
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix("check")) as temporary:
        picture = Path(temporary) / "picture.jpg"
        picture.write_bytes(costs.draw_picture(input_size))
        taken = costs.measure(
            blend,
            picture,
            runs=measurements,
            on_progress=lambda n, total: on_progress("timing one picture", n, total),
        )
        others = {}
        if precisions:
            others = costs.precisions(
                blend,
                picture,
                runs=measurements,
                on_notice=lambda name: on_progress(f"timing {name}", 0, 1),
            )
    return {
        "run": str(selection.folder),
        "members": [str(one.path) for one in selection.members],
        "bytes": sizes,
        "parameters": costs.parameters(blend),
        "device": costs.device_name(blend.members[0].device),
        "views": [view.name for view in views.all()],
        "whole": asdict(taken.whole),
        "models": asdict(taken.models),
        "precisions": others,
        "input": input_size,
        "native": sorted({member.size for member in blend.members}),
    }


def exported_bytes(blend: Any, selection: RunSelection) -> dict[str, list[int]]:
    """Return the bytes of each member's exported safetensors file, in both precisions."""
    from tunewright.classification.delivery.export import write_safetensors
    from tunewright.runs.folder import RunFolder

    sizes: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix("check")) as temporary:
        file = Path(temporary) / "model.safetensors"
        for precision in ("float32", "float16"):
            for member, one in zip(blend.members, selection.members, strict=True):
                tree = RunFolder(one.path).read_config()
                write_safetensors(member, file, tree, half=precision == "float16")
                sizes.setdefault(precision, []).append(file.stat().st_size)
    return sizes


def _report(
    figures: Mapping[str, Any],
    max_bytes: float,
    max_ms: float,
    max_parameters: float,
    *,
    half: bool,
    notes: Sequence[str],
) -> CheckReport:
    submitted = "float16" if half else "float32"
    rows = []
    fits = {}
    for precision, sizes in figures["bytes"].items():
        total = sum(sizes)
        fits[precision] = total <= max_bytes
        text = f"{in_megabytes(total)} in {precision}"
        if len(sizes) > 1:
            text += f", {len(sizes)} files"
        own = precision == submitted
        would = "" if own else f" (it would {'pass' if fits[precision] else 'fail'})"
        limit = f"<= {in_megabytes(max_bytes)}"
        name = "size" if own else "size, if exported so"
        rows.append(
            CheckRow(name, text + would, limit if own else "", fits[precision] if own else None)
        )
    for name, key in (("latency, file to label", "whole"), ("latency, models alone", "models")):
        taken = figures[key]
        judged = key == "whole"
        rows.append(
            CheckRow(
                name,
                f"p95 {taken['p95_ms']:.1f} ms, p50 {taken['p50_ms']:.1f} ms, "
                f"mean {taken['mean_ms']:.1f} ms",
                f"p95 < {max_ms:g} ms" if judged else "",
                taken["p95_ms"] < max_ms if judged else None,
            )
        )
    count = figures["parameters"]
    rows.append(
        CheckRow("parameters", f"{count:,}", f"< {max_parameters:,.0f}", count < max_parameters)
    )
    native = " and ".join(f"{size} x {size}" for size in figures["native"])
    declared = f"{figures['input']} x {figures['input']}"
    rows.append(CheckRow("input", f"{declared} is taken, the model sees {native}", declared, True))
    return CheckReport(
        tuple(rows), tuple(_notes(figures, fits, max_bytes, max_ms, half, notes)), figures
    )


def _notes(
    figures: Mapping[str, Any],
    fits: Mapping[str, bool],
    max_bytes: float,
    max_ms: float,
    half: bool,
    known: Sequence[str],
) -> list[str]:
    taken, views, members = figures["whole"], figures["views"], figures["members"]
    notes = [*known]
    notes.append(
        f"latency at batch 1 on {figures['device']}, float32, {taken['runs']} runs after "
        f"{taken['warm_ups']} warm-ups, the device awaited before and after each; "
        f"{len(views)} view(s) ({', '.join(views)}), {len(members)} model(s)"
    )
    models = figures["models"]["p95_ms"]
    if models < max_ms <= taken["p95_ms"]:
        notes.append("the models alone are fast enough: decoding and resizing are what exceeds it")
    if not half and not fits["float32"] and fits["float16"]:
        notes.append("too large in float32, small enough in float16: --half, and export --half")
    notes.append(
        "drop_path_rate changes no byte and no millisecond: it drops paths in training only. "
        "use_amp acts in training; here the model runs in float32"
        + (", float16 is what the file holds" if half else "")
        + (". Other precisions: --benchmark" if not figures["precisions"] else "")
    )
    mib = max_bytes / len(members) / 2**20
    notes.append(
        "as constraints of a study (latency of the model alone): "
        f"study.constraints=['size_mib <= {mib:.4g}', "
        f"'latency_ms <= {max_ms / len(views) / len(members):.4g}']"
    )
    return notes


def in_megabytes(count: float) -> str:
    """`111.6 MB (106.4 MiB)`; what is less than 0.1 MB in bytes."""
    if count < 1e5:
        return f"{count:,.0f} bytes"
    return f"{count / 1e6:.1f} MB ({count / 2**20:.1f} MiB)"
