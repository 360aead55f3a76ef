"""The whole of `retina` on 906 patients of ODIR-5K, 128 pixels, on two CPU cores.

build-lmdb -> verify-lmdb -> a grid of 16 on a sample -> a random search around its winner -> the
winner in full -> zero-shot, probes, retrieval, each through the command line, timed. The image
encoder is small (128 wide) and begins from nothing; the pictures are scaled down. The data set
stays where it is: only figures are written.

    python benchmarks/odir_pairs.py DATA_FOLDER [--pixels 64] [--epochs 10] [--trials 12]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine

RESULTS = Path(__file__).parent / "results"
AROUND = """parameters:
  optim.lr: {type: float, low: 0.0003, high: 0.01, log: true}
  training.batch_size: {type: categorical, choices: [32, 64]}
  warmup: {type: categorical, choices: [0.1, 0.2]}
  optim.weight_decay: {type: categorical, choices: [0.1, 0.2, 0.3]}
  loss.temperature: {type: categorical, choices: [0.05, 0.07, 0.1]}
"""
"""The guide's second phase, with the rates that a small encoder without starting weights needs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with odir_pairs.zip and index.csv")
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10, help="of a full run")
    parser.add_argument("--trials", type=int, default=12, help="of the random search")
    options = parser.parse_args()
    sizes = ["data.dir=db", "goal=val_mean_auroc", f"data.image_size={options.pixels}"]
    data = options.data.resolve()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "around.yaml").write_text(AROUND)
        steps = {
            "build": ["retina", "build-lmdb", data, "--output", "db"],
            "verify": ["retina", "verify-lmdb", "db"],
            "grid of 16": ["tune", "retina", "fidelity=quick", *sizes, "--sampler", "grid",
                           "--name", "grid"],
            "random and final": ["tune", "retina", "fidelity=full", *sizes,
                                 f"training.epochs={options.epochs}", "--from", "grid",
                                 "--sampler", "random", "--space", "around.yaml",
                                 "--name", "around", "--trials", options.trials],
            "evaluate": ["evaluate", "runs/around/final", "--json"],
        }  # fmt: skip
        for name, words in steps.items():
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "tunewright", *map(str, words)],
                cwd=place, check=True, text=True, stdout=subprocess.PIPE,
            )  # fmt: skip
            seconds[name] = round(time.perf_counter() - started, 1)
            print(f"{name}: {seconds[name]} s")
        evaluation = json.loads(done.stdout)
        studies = {
            study: json.loads((place / f"runs/{study}/best_results.json").read_text())
            for study in ("grid", "around")
        }
    result = {
        "command": " ".join(
            ["python benchmarks/odir_pairs.py DATA_FOLDER"]
            + [f"--{name} {getattr(options, name)}" for name in ("pixels", "epochs", "trials")]
        ),
        "machine": describe_machine(),
        "seconds": seconds,
        "total_seconds": round(sum(seconds.values()), 1),
        "best": {
            name: {key: best[key] for key in ("score", "parameters") if key in best}
            for name, best in studies.items()
        },
        "test": evaluation,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "odir_pairs.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
