"""`tunewright compress` and `decompress`: pictures to `.twc` files and back."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunewright.deliver.compression.input_output_files import Pair, file_pairs
from tunewright.deliver.compression.select_compressor import every_compressor, select_compressor
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import Member, RunSelection, run_in_subprocess
from tunewright.errors import DataError, NotWritten, RunError
from tunewright.recipes.compression.codec.container import (
    SUFFIX,
    Container,
    read_compressed,
    unpack,
)
from tunewright.recipes.recipe import import_object
from tunewright.result import Result
from tunewright.runs.atomic import NAMED, write_with
from tunewright.runs.folder import RunFolder

if TYPE_CHECKING:
    from tunewright.recipes.compression.codec.trained_compressor import TrainedCompressor

DECODED = ".png"


@dataclass(frozen=True)
class CompressReport(Result):
    """Pictures that were compressed.

    run, fingerprint: of the model. files: bytes, bits and seconds of each. failed: why files could
    not be used. pixels, bytes, bpp, seconds: in total.
    """

    run: Path
    fingerprint: str
    device: str
    threads: int
    verified: bool
    files: Sequence[Mapping[str, Any]]
    failed: Mapping[str, str]
    pixels: int
    bytes: int
    bpp: float
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecompressReport(Result):
    """Pictures that were decompressed: files, failed and totals as in `CompressReport`."""

    run: Path
    files: Sequence[Mapping[str, Any]]
    failed: Mapping[str, str]
    pixels: int
    bytes: int
    seconds: float
    notes: tuple[str, ...] = ()


def compress(
    pictures: Iterable[Path | str],
    *,
    output: Path | str,
    run: Path | str | None = None,
    verify: bool = True,
    force: bool = False,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> CompressReport:
    """Compress pictures, or folders of them, into `.twc` files with a trained run.

    output: a file for one picture, else a folder. run: None for the newest one. verify: decode
    what was coded and compare every value. Raises DataError, UsageError as `file_pairs` does, and
    what is wrong with a picture when it is the only one.
    """
    from tunewright.images.sources.archive import PICTURES

    selection = select_compressor(run, runs)
    pairs = file_pairs(pictures, output, taken=PICTURES, made=SUFFIX, single=(SUFFIX,), force=force)
    found: CompressReport = run_in_subprocess(
        selection, _compress, pairs, verify, on_progress=on_progress
    )
    return replace(found, notes=selection.notes)


def decompress(
    files: Iterable[Path | str],
    *,
    output: Path | str,
    run: Path | str | None = None,
    force: bool = False,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> DecompressReport:
    """Decompress `.twc` files, or folders of them, with the run that wrote them.

    output: a picture file in a format that keeps every pixel, else a folder, for PNG files. run:
    None for the one in `runs` that wrote each file, found by the fingerprint in it. See
    `compress`.
    """
    from tunewright.recipes.compression.codec.picture_files import LOSSLESS

    selection = select_compressor(run, runs)
    pairs = file_pairs(
        files, output, taken=(SUFFIX,), made=DECODED, single=tuple(LOSSLESS), force=force
    )
    others = every_compressor(runs) if run is None else []
    found: DecompressReport = run_in_subprocess(
        selection, _decompress, pairs, others, on_progress=on_progress
    )
    return found if run is None else replace(found, notes=selection.notes)


def _compress(
    selection: RunSelection, pairs: Sequence[Pair], verify: bool, on_progress: ProgressCallback
) -> CompressReport:
    """Compress every picture, in a process that may import torch."""
    import torch

    from tunewright.recipes.compression.codec.codec import compress_picture
    from tunewright.recipes.compression.codec.picture_files import read_picture

    device = "cuda" if torch.cuda.is_available() else "cpu"
    opened = _open(selection.members[0], device)

    def one(pair: Pair) -> dict[str, Any]:
        picture = read_picture(pair.source)
        found = compress_picture(
            opened, picture.pixels, grey=picture.grey, verify=verify, name=pair.source
        )
        write_with(pair.target, lambda place: place.write_bytes(found.data), remedy=NAMED)
        height, width, _ = picture.pixels.shape
        return {
            "width": width,
            "height": height,
            "bytes": len(found.data),
            "bpp": 8 * len(found.data) / (width * height),
            "real_bits": dict(found.real_bits),
            "estimated_bits": dict(found.estimated_bits),
            "seconds": found.seconds,
            "coder_seconds": found.coder_seconds,
            "verify_seconds": found.verify_seconds,
            "notices": [*picture.notices, *(f"{pair.source}: {n}" for n in found.notices)],
        }

    files, failed, seconds = _each(pairs, one, "compressing", on_progress)
    pixels = sum(entry["width"] * entry["height"] for entry in files)
    count = sum(entry["bytes"] for entry in files)
    return CompressReport(
        run=selection.folder,
        fingerprint=opened.fingerprint.hex(),
        device=device,
        threads=torch.get_num_threads(),
        verified=verify,
        files=files,
        failed=failed,
        pixels=pixels,
        bytes=count,
        bpp=8 * count / pixels,
        seconds=seconds,
    )


def _decompress(
    selection: RunSelection,
    pairs: Sequence[Pair],
    others: Sequence[Member],
    on_progress: ProgressCallback,
) -> DecompressReport:
    """Decompress every file, in a process that may import torch.

    others: compressors among which the one that wrote a file is looked for.
    """
    import torch

    from tunewright.recipes.compression.codec.codec import decompress_picture
    from tunewright.recipes.compression.codec.picture_files import write_picture

    models: dict[tuple[Path, str], TrainedCompressor] = {}
    used: dict[Path, None] = {}

    def open_once(member: Member, device: str) -> "TrainedCompressor":
        if (member.path, device) not in models:
            models[member.path, device] = _open(member, device)
        return models[member.path, device]

    def model_of(held: Container, name: Path) -> "TrainedCompressor":
        """Return the model that wrote a file, on the device that wrote it, else on the CPU."""
        here = held.device if torch.cuda.is_available() else "cpu"
        if not others:
            return open_once(selection.members[0], here)
        for member in [*(one for one in others if one.path in used), *others]:
            try:
                found = open_once(member, here)
            except DataError:  # damaged, or of another version: it did not write this file
                continue
            if found.fingerprint == held.fingerprint:
                used[member.path] = None
                return found
        raise DataError(
            f"{name} was written by the model {held.fingerprint.hex()}",
            expected=f"the model of one of the {len(others)} compressors found",
            remedy="Name the run that wrote it with --run, or its folder of runs with --runs-dir.",
        )

    def one(pair: Pair) -> dict[str, Any]:
        data = read_compressed(pair.source)
        held = unpack(data, pair.source)
        found = decompress_picture(model_of(held, pair.source), data, name=pair.source)
        write_picture(pair.target, found.picture, grey=found.grey)
        return {
            "width": held.width,
            "height": held.height,
            "bytes": len(data),
            "seconds": found.seconds,
            "network_seconds": found.network_seconds,
            "coder_seconds": found.coder_seconds,
            "notices": [],
        }

    files, failed, seconds = _each(pairs, one, "decompressing", on_progress)
    notes = [f"using {', '.join(map(str, used))}: its model wrote the files"] if others else []
    return DecompressReport(
        notes=tuple(notes),
        run=next(iter(used), selection.folder),
        files=files,
        failed=failed,
        pixels=sum(entry["width"] * entry["height"] for entry in files),
        bytes=sum(entry["bytes"] for entry in files),
        seconds=seconds,
    )


def _each(
    pairs: Sequence[Pair],
    one: Callable[[Pair], dict[str, Any]],
    doing: Literal["compressing", "decompressing"],
    on_progress: ProgressCallback,
) -> tuple[list[dict[str, Any]], dict[str, str], float]:
    """Process each file; return the results, the errors by file, and the seconds.

    A file that fails raises only when it is the only one; a full disk always does.
    """
    began = time.perf_counter()
    files: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for count, pair in enumerate(pairs):
        on_progress(doing, count, len(pairs))
        names = {"input": str(pair.source), "output": str(pair.target)}
        try:
            files.append({**names, **one(pair)})
        except NotWritten:
            raise
        except (DataError, RunError) as error:
            if len(pairs) == 1:
                raise
            failed[str(pair.source)] = str(error)
    on_progress(doing, len(pairs), len(pairs))
    if not files:
        raise DataError(
            f"none of {len(pairs)} files can be used; the first: {next(iter(failed.values()))}"
        )
    return files, failed, time.perf_counter() - began


def _open(member: Member, device: str) -> "TrainedCompressor":
    import torch

    opened: TrainedCompressor = import_object(member.opener)(
        RunFolder(member.path), torch.device(device)
    )
    return opened
