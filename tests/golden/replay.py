"""Two trials of two epochs of a recipe, and every number that they report.

`python tests/golden/replay.py [NAME ...]` records `logs/PROCESSOR/NAME.json` anew, for the one that
it runs on: the last bit of a training depends on it.
"""

import base64
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

LOGS = Path(__file__).parent / "logs"
RUNS: Mapping[str, tuple[str, ...]] = {
    "pairs": ("pairs",),
    "longtail": ("longtail",),
    "flowers": ("flowers",),
    "compression": ("compression",),
    "compression-balanced": (
        "compression",
        *("balance=famo", "balance.schedule.type=hpcm", "balance.w_lr=0.05", "optim=cautious_adam"),
        *("model=hyperprior", "model.channels=16", "model.latent=24", "optim.lr=1e-3"),
    ),
}
"""What is tuned, and with which settings, by the name of the log."""
FIXED = (
    *("study.trials=2", "study.pruner.type=none", "study.jobs=1", "executor.threads=1"),
    *("training.epochs=2", "stages.explore.training.epochs=2"),
    *("training.precision=fp32", "training.layout=contiguous", "training.compile=never"),
)
MEASURED = ("seconds", "mib", "mb", "per_second", "attempt", "latency", "size_", "digest", "time")
"""Words in the names of what a clock or the machine decides, not the training."""


def machine() -> dict[str, str]:
    """What decides the last bit of a training."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def logs_of(processor: str) -> Path:
    """Return the folder of the logs that a processor has recorded."""
    return LOGS / re.sub(r"[^A-Za-z0-9]+", "-", processor).strip("-")


def replay(name: str, folder: Path) -> dict[str, Any]:
    """Tune a recipe on its embedded data in `folder`; return parameters, reports and files."""
    _run(folder, "tune", *RUNS[name], "--name", "golden", *FIXED)
    study = folder / "runs" / "golden"
    runs = [*sorted((study / "trials").iterdir()), study / "final"]
    log: dict[str, Any] = {
        run.name: {
            "parameters": json.loads((run / "trial.json").read_text())["parameters"]
            if (run / "trial.json").exists()
            else {},
            "reports": [
                {"step": report["step"], "metrics": report["metrics"]}
                for report in map(json.loads, (run / "progress.jsonl").read_text().splitlines())
                if report.get("metrics")
            ],
        }
        for run in runs
    }
    measured = json.loads((study / "final" / "evaluation.json").read_text())
    log["evaluation"] = dict(_numbers(measured))
    if name == "flowers":
        _run(folder, "predict", "golden", "--output", "predictions.csv")
        log["predictions"] = (folder / "predictions.csv").read_text()
    if name == "compression":
        ramp = np.add.outer(np.arange(96), np.arange(80))[..., None] * np.array([1, 2, 3])
        Image.fromarray((ramp % 256).astype(np.uint8)).save(folder / "ramp.png")
        _run(folder, "compress", "ramp.png", "--run", "golden", "--output", "ramp.twc")
        log["compressed"] = base64.b64encode((folder / "ramp.twc").read_bytes()).decode()
    return log


def _run(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tunewright", *words],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a JSON value by their path, without what is timed."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not any(word in str(key).lower() for word in MEASURED):
                yield from _numbers(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(inner, f"{path}/{index}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


if __name__ == "__main__":
    logs = logs_of(machine()["processor"])
    logs.mkdir(exist_ok=True, parents=True)
    for name in sys.argv[1:] or RUNS:
        with tempfile.TemporaryDirectory() as place:
            recorded = {"machine": machine(), "log": replay(name, Path(place))}
        (logs / f"{name}.json").write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
        print("recorded", name)
