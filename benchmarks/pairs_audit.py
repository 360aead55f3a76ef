"""An audit of a real search: `pairs` on 5,000 product photographs and their names, on CPU.

embed -> split -> tune on the tuning subset for 8 epochs -> audit: configurations on all data for 20
epochs, then the same ones on the subset for 20 epochs, through the command line. The data set stays
where it is: only figures are written. The tuning subset of so small a set is all of it, so that the
second audit repeats the first: its tau of 1 says that a training repeats itself, not that a subset
is enough.

    python benchmarks/pairs_audit.py DATA_FOLDER [--work FOLDER]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rounds import save

DONE = {"embed": "embeddings", "split": "sets"}
"""Folders that are there once a step was done."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with fashion_pairs.zip and index.csv")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--configurations", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--work", type=Path, help="folder in which a second call goes on")
    options = parser.parse_args()
    data = options.data.resolve()
    audit = ["audit", "fashion", f"training.epochs={options.epochs}", "--configurations",
             options.configurations, "--json"]  # fmt: skip
    steps = {
        "embed": ["pairs", "embed", data / "fashion_pairs.zip", data / "index.csv",
                  "--output", "embeddings"],
        "split": ["pairs", "split", "embeddings", "--by", "metadata", "--output", "sets"],
        "tune": ["tune", "pairs", "data.dir=sets", "--name", "fashion", "study.final=false",
                 "--trials", options.trials],
        "audit in full": audit,
        "audit of the subset": [*audit, "data.train=train_tuning"],
    }  # fmt: skip
    seconds: dict[str, float] = {}
    printed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = options.work or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        for name, words in steps.items():
            if name in DONE and (place / DONE[name]).exists():
                continue
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "tunewright", *map(str, words)],
                cwd=place, check=True, text=True, stdout=subprocess.PIPE,
            )  # fmt: skip
            printed[name] = done.stdout
            seconds[name] = round(time.perf_counter() - started, 1)
            print(f"{name}: {seconds[name]} s")
    found: dict[str, Any] = json.loads(printed["audit of the subset"])
    command = f"python benchmarks/pairs_audit.py DATA_FOLDER --trials {options.trials}"
    print(save("pairs_audit", command, None, seconds=seconds, audit=found))


if __name__ == "__main__":
    main()
