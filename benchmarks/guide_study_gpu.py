"""The pairs guide's study at its real shape, on one GPU, from writing the data to the best score.

100 trials of 8 epochs over 100,000 pairs 1536 and 4096 wide, batches of 2048 to 8192, four heads,
three losses: the shipped space is the guide's. Two studies are timed from the call to its return,
warm-up of workers included: every trial to its end, as the guide's ran (45 minutes on an RTX 4090),
and with the shipped rungs. The floor is what the matrix products of the steps that were taken need
at the card's peak; wall time over the floor says how much of the time is not arithmetic.

Three workers share the card by default: a step of a small head is mostly launches, and the host
work, the validation and the files of one trial then hide behind another's arithmetic. Each keeps
its own copy of the data on the device (1.4 GB with the validation set).

Without a GPU, `--scale real` writes a result that says so.

    python benchmarks/guide_study_gpu.py [--jobs 3] [--scale tiny]
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rounds import save
from synthetic_pairs import write_pairs

from tunewright import tune
from tunewright.executors.resources import visible_gpus
from tunewright.runs.record import StudyRecord, Trial

SCALES: Mapping[str, Mapping[str, Any]] = {
    "real": {
        "trials": 100,
        "epochs": 8,
        "rows": 100_000,
        "valid_rows": 25_000,
        "widths": (1536, 4096),
    },
    "tiny": {"trials": 6, "epochs": 4, "rows": 2_000, "valid_rows": 250, "widths": (48, 64)},
}
TEXTS_PER_IMAGE = 5
STUDIES: Mapping[str, Sequence[str]] = {
    "every trial to its end": ["study.pruner.type=none"],
    "with rungs": [],
}
NOT_RUN = "not run: no GPU"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=SCALES, default="real")
    parser.add_argument("--quick", action="store_true", help="the same as --scale tiny")
    parser.add_argument("--jobs", type=int, default=3, help="workers, which share the GPU")
    parser.add_argument("--peak-tflops", type=float, default=790.0, help="bf16, of the card (H200)")
    options = parser.parse_args()
    if options.quick:
        options.scale = "tiny"
    command = f"python benchmarks/guide_study_gpu.py --jobs {options.jobs}"
    gpus = visible_gpus()
    if options.scale == "real" and not gpus:
        print(f"{NOT_RUN}; written: {save('guide_study_gpu', command, None, status=NOT_RUN)}")
        return
    if len(gpus) > 1:
        raise SystemExit(f"{len(gpus)} GPUs: choose one with CUDA_VISIBLE_DEVICES")
    scale = SCALES[options.scale]
    studies: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        started = time.perf_counter()
        write_pairs(
            place / "data",
            rows=scale["rows"],
            valid_rows=scale["valid_rows"],
            image_width=scale["widths"][0],
            text_width=scale["widths"][1],
            texts_per_image=TEXTS_PER_IMAGE,
            dtype=torch.bfloat16,
        )
        print(f"data written in {time.perf_counter() - started:.1f} s")
        for name, words in STUDIES.items():
            studies[name] = found = measured(name, place, words, scale, options)
            print(f"{name}: {found}")
    if options.scale == "real":
        path = save(
            "guide_study_gpu",
            command,
            None,
            status="run",
            gpu=gpu_name(),
            jobs=options.jobs,
            peak_tflops=options.peak_tflops,
            scale=scale,
            studies=studies,
        )
        print(f"written: {path}")


def measured(
    name: str,
    place: Path,
    words: Sequence[str],
    scale: Mapping[str, Any],
    options: argparse.Namespace,
) -> dict[str, object]:
    """One study, and what came of it."""
    started = time.perf_counter()
    record = tune(
        "pairs",
        "data=folder",
        f"data.dir={place / 'data'}",
        "data.test=null",
        "study.final=false",
        f"stages.explore.training.epochs={scale['epochs']}",
        *words,
        trials=scale["trials"],
        jobs=options.jobs,
        name=name.replace(" ", "-"),
        runs_dir=place / "runs",
    ).record
    seconds = time.perf_counter() - started
    floor = sum(products(trial, scale) for trial in record.trials) / (options.peak_tflops * 1e12)
    return {
        "wall_seconds": seconds,
        "gpu_hours": seconds / 3600,
        "floor_seconds": floor,
        "wall_over_floor": seconds / floor,
        "best_recall_1": record.best.score if record.best else None,
        "epochs_trained": sum(len(trial.curve) for trial in record.trials),
        **by_state(record),
    }


def by_state(record: StudyRecord) -> dict[str, int]:
    states = [trial.state for trial in record.trials]
    return {state: states.count(state) for state in sorted(set(states))}


def products(trial: Trial, scale: Mapping[str, Any]) -> float:
    """Floating point operations of the matrix products in all training steps of a trial.

    Two a multiply and add; forward, and backward twice that, but for a gradient of the embeddings,
    which nothing needs. A one-token attention layer is two square maps. The contrastive losses
    take three products with the batch, and the queue's.
    """
    chosen: Mapping[str, Any] = trial.parameters
    out, batch = chosen["model.output_dim"], chosen["training.batch_size"]
    first = later = 0
    for width in scale["widths"]:
        if chosen["model.type"] == "siglip":
            first += width * out
        elif chosen["model.type"] == "attention":
            first += width**2
            later += (2 * chosen["model.num_layers"] - 1) * width**2 + width * out
        else:
            first += width * chosen["model.hidden_dim"]
            later += chosen["model.hidden_dim"] * out
    columns = batch + (chosen.get("loss.queue_size") or 0)
    steps = len(trial.curve) * (scale["rows"] // batch)
    return float(steps * batch * (4 * first + 6 * (later + columns * out)))


def gpu_name() -> str:
    listed = subprocess.run(
        ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.strip()


if __name__ == "__main__":
    main()
