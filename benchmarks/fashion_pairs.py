"""The whole of `pairs` on 5,000 product photographs and their names, on CPU.

embed -> split -> tune (40 trials) -> final -> evaluate, each through the command line, timed.
The data set stays where it is: only figures are written.

    python benchmarks/fashion_pairs.py DATA_FOLDER
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with fashion_pairs.zip and index.csv")
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args()
    data = options.data.resolve()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        steps = {
            "embed": ["pairs", "embed", data / "fashion_pairs.zip", data / "index.csv",
                      "--output", "embeddings"],
            "split": ["pairs", "split", "embeddings", "--by", "metadata", "--output", "sets"],
            "tune and train in full": ["tune", "pairs", "data.dir=sets", "--name", "fashion",
                                       "--trials", options.trials],
            "evaluate": ["evaluate", "runs/fashion/final", "--json"],
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
        summary = json.loads((place / "runs/fashion/study_summary.json").read_text())
        best = json.loads((place / "runs/fashion/best_results.json").read_text())
    result = {
        "command": f"python benchmarks/fashion_pairs.py DATA_FOLDER --trials {options.trials}",
        "machine": describe_machine(),
        "seconds": seconds,
        "total_seconds": round(sum(seconds.values()), 1),
        "study": summary,
        "best": best["parameters"],
        "test": evaluation,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fashion_pairs.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
