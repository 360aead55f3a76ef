"""`tunewright check`: size, latency, parameters and input of what is delivered, against limits."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tunewright.classification.inference.tta_views import ALONE, Views
from tunewright.deliver.classification.limits import INPUT, Limits, read_limits
from tunewright.deliver.classification.open_members import open_blend
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection, resolve_runs, run_in_subprocess
from tunewright.errors import NotWritten, UsageError
from tunewright.result import Result
from tunewright.runs.atomic import write_json
from tunewright.runs.machine import temporary_folders

FILE = "check.json"


@dataclass(frozen=True)
class CheckRow:
    """A row of the report. passed: None where there is no limit."""

    name: str
    measured: str
    limit: str
    passed: bool | None


@dataclass(frozen=True)
class CostReport(Result):
    """What a run or an ensemble costs: bytes, parameters, and the latency of one picture.

    bytes: of each member's exported file, by precision. whole, models: the latency from the file to
    the label, and of the models alone, in milliseconds; precisions: also in other precisions and
    memory layouts. input: the side of the picture; native: what the models see, in pixels.
    """

    run: Path
    members: tuple[Path, ...]
    bytes: Mapping[str, Sequence[int]]
    parameters: int
    device: str
    views: tuple[str, ...]
    whole: Mapping[str, Any]
    models: Mapping[str, Any]
    precisions: Mapping[str, Mapping[str, Any]]
    input: int
    native: tuple[int, ...]


@dataclass(frozen=True)
class CheckReport(Result):
    """The report: its rows, what it must be read with, and every figure by name."""

    rows: tuple[CheckRow, ...]
    notes: tuple[str, ...]
    figures: CostReport

    @property
    def passed(self) -> bool:
        """Whether no limit is exceeded."""
        return all(row.passed is not False for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return whether it passed, the rows, the notes and all figures."""
        found = super().as_json()
        figures = found.pop("figures")
        return {"passed": self.passed, **found, **figures}


@dataclass(frozen=True)
class CheckOptions:
    """What to check. half: weights in float16. benchmark: other precisions too.

    input_size: the side of the picture that is timed, in pixels. measurements: of each latency.
    Raises UsageError for less than a pixel, or fewer than 100 measurements.
    """

    limits: Limits = field(default_factory=read_limits)
    views: Views = ALONE
    input_size: int = INPUT
    half: bool = False
    benchmark: bool = False
    measurements: int = 100

    def __post_init__(self) -> None:
        if self.input_size < 1:
            raise UsageError(f"--input {self.input_size}", expected="pixels on a side, such as 600")
        if self.measurements < 100:
            raise UsageError(f"{self.measurements} measurements", expected="100 or more")


def check(
    run: Path | str | None,
    options: CheckOptions,
    *,
    checkpoint: Path | str | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> CheckReport:
    """Measure what would be submitted, and compare it with limits; writes `check.json`.

    The size is that of the exported safetensors files, float16 with `half`; the latency that of
    one picture of `input_size` x `input_size` pixels, from its file to its label, through all
    views and members. Where the folder may only be read, a note says so.
    """
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    figures: CostReport = run_in_subprocess(selection, _measure, options, on_progress=on_progress)
    report = _report(figures, options.limits, half=options.half, notes=selection.notes)
    try:
        write_json(selection.folder / FILE, report.as_json())
    except NotWritten as error:  # a folder that may only be read stays as it is
        return replace(report, notes=(*report.notes, error.came))
    return report


def benchmark(
    run: Path | str | None,
    options: CheckOptions,
    *,
    checkpoint: Path | str | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> CostReport:
    """Measure only the latencies of `check`, also with other precisions and memory layouts."""
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    every = replace(options, benchmark=True)
    found: CostReport = run_in_subprocess(selection, _measure, every, on_progress=on_progress)
    return found


def _measure(
    selection: RunSelection, options: CheckOptions, on_progress: ProgressCallback
) -> CostReport:
    """Return every figure, measured in whichever process may import torch."""
    from tunewright.classification.delivery import latency as costs

    blend = open_blend(selection, options.views)
    sizes = exported_bytes(blend, selection)
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix("check")) as temporary:
        picture = Path(temporary) / "picture.jpg"
        picture.write_bytes(costs.draw_picture(options.input_size))
        taken = costs.measure(
            blend,
            picture,
            runs=options.measurements,
            on_progress=lambda n, total: on_progress("timing one picture", n, total),
        )
        others = {}
        if options.benchmark:
            others = costs.precisions(
                blend,
                picture,
                runs=options.measurements,
                on_notice=lambda name: on_progress(f"timing {name}", 0, 1),
            )
    return CostReport(
        run=selection.folder,
        members=tuple(one.path for one in selection.members),
        bytes=sizes,
        parameters=costs.parameters(blend),
        device=costs.device_name(blend.members[0].device),
        views=tuple(view.name for view in options.views.all()),
        whole=asdict(taken.whole),
        models=asdict(taken.models),
        precisions=others,
        input=options.input_size,
        native=tuple(sorted({member.size for member in blend.members})),
    )


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
    figures: CostReport, limits: Limits, *, half: bool, notes: Sequence[str]
) -> CheckReport:
    submitted = "float16" if half else "float32"
    rows = []
    fits = {}
    for precision, sizes in figures.bytes.items():
        total = sum(sizes)
        fits[precision] = total <= limits.bytes
        text = f"{in_megabytes(total)} in {precision}"
        if len(sizes) > 1:
            text += f", {len(sizes)} files"
        own = precision == submitted
        would = "" if own else f" (it would {'pass' if fits[precision] else 'fail'})"
        limit = f"<= {in_megabytes(limits.bytes)}"
        name = "size" if own else "size, if exported so"
        rows.append(
            CheckRow(name, text + would, limit if own else "", fits[precision] if own else None)
        )
    latencies = {"file to label": figures.whole, "models alone": figures.models}
    for what, taken in latencies.items():
        judged = taken is figures.whole
        rows.append(
            CheckRow(
                f"latency, {what}",
                f"p95 {taken['p95_ms']:.1f} ms, p50 {taken['p50_ms']:.1f} ms, "
                f"mean {taken['mean_ms']:.1f} ms",
                f"p95 < {limits.milliseconds:g} ms" if judged else "",
                taken["p95_ms"] < limits.milliseconds if judged else None,
            )
        )
    count = figures.parameters
    rows.append(
        CheckRow(
            "parameters", f"{count:,}", f"< {limits.parameters:,.0f}", count < limits.parameters
        )
    )
    native = " and ".join(f"{size} x {size}" for size in figures.native)
    declared = f"{figures.input} x {figures.input}"
    rows.append(CheckRow("input", f"{declared} is taken, the model sees {native}", declared, True))
    return CheckReport(tuple(rows), tuple(_notes(figures, fits, limits, half, notes)), figures)


def _notes(
    figures: CostReport,
    fits: Mapping[str, bool],
    limits: Limits,
    half: bool,
    known: Sequence[str],
) -> list[str]:
    taken, views, members = figures.whole, figures.views, figures.members
    notes = [*known]
    notes.append(
        f"latency at batch 1 on {figures.device}, float32, {taken['runs']} runs after "
        f"{taken['warm_ups']} warm-ups, the device awaited before and after each; "
        f"{len(views)} view(s) ({', '.join(views)}), {len(members)} model(s)"
    )
    models = figures.models["p95_ms"]
    if models < limits.milliseconds <= taken["p95_ms"]:
        notes.append("the models alone are fast enough: decoding and resizing are what exceeds it")
    if not half and not fits["float32"] and fits["float16"]:
        notes.append("too large in float32, small enough in float16: --half, and export --half")
    notes.append(
        "drop_path_rate changes no byte and no millisecond: it drops paths in training only. "
        "use_amp acts in training; here the model runs in float32"
        + (", float16 is what the file holds" if half else "")
        + (". Other precisions: --benchmark" if not figures.precisions else "")
    )
    mib = limits.bytes / len(members) / 2**20
    notes.append(
        "as constraints of a study (latency of the model alone): "
        f"study.constraints=['size_mib <= {mib:.4g}', "
        f"'latency_ms <= {limits.milliseconds / len(views) / len(members):.4g}']"
    )
    return notes


def in_megabytes(count: float) -> str:
    """`111.6 MB (106.4 MiB)`; what is less than 0.1 MB in bytes."""
    if count < 1e5:
        return f"{count:,.0f} bytes"
    return f"{count / 1e6:.1f} MB ({count / 2**20:.1f} MiB)"
