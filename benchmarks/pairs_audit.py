"""An audit of a real search: `pairs` on 5,000 product photographs and their names, on CPU.

embed -> split -> tune on the tuning subset for 8 epochs -> audit: 12 configurations on all data for
50 epochs, then the same ones on the subset for 50 epochs, through the command line. The data set
stays where it is: only figures are written.

    python benchmarks/pairs_audit.py DATA_FOLDER
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with fashion_pairs.zip and index.csv")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--configurations", type=int, default=12)
    options = parser.parse_args()
    data = options.data.resolve()
    audit = ["audit", "fashion", "--configurations", options.configurations, "--json"]
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
        for name, words in steps.items():
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "tunewright", *map(str, words)],
                cwd=temporary, check=True, text=True, stdout=subprocess.PIPE,
            )  # fmt: skip
            printed[name] = done.stdout
            seconds[name] = round(time.perf_counter() - started, 1)
            print(f"{name}: {seconds[name]} s")
    found: dict[str, Any] = json.loads(printed["audit of the subset"])
    command = f"python benchmarks/pairs_audit.py DATA_FOLDER --trials {options.trials}"
    print(save("pairs_audit", command, None, seconds=seconds, audit=found))


if __name__ == "__main__":
    main()
