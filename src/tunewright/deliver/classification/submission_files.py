"""The text files of a submission: scripts, requirements, a page that says how to run them."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from tunewright.deliver.classification.views_gain import SCORES

PYTHON = "3.11"
TRAIN = '''"""Train the submitted model again from the pictures of the contest.

    python code/train.py --data DIR [--runs RUNS] [KEY=VALUE ...]

Runs with the sources in this folder (`tunewright/`); only requirements.txt must be installed.
The configuration is configs/config.yaml; KEY=VALUE replaces parts of it (training.epochs=2).
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="training pictures and their labels")
    parser.add_argument("--runs", default="runs", help="where the new run goes")
    parser.add_argument("--config", default=str(HERE / "configs" / "config.yaml"))
    options, words = parser.parse_known_args()

    import tunewright

    data = f"data.dir={Path(options.data).resolve()}"
    trained = tunewright.train(
        data, *words, config=options.config, name="trained", runs_dir=options.runs
    )
    for folder, score in zip(trained.folders, trained.scores, strict=True):
        print(f"{folder.path}  {trained.metric} = {score:.4f}")


if __name__ == "__main__":
    main()
'''

INFERENCE = '''"""Predict a folder of pictures with the submitted model: image_id,label.

    python code/inference.py --data DIR [--output predictions.csv] [--tta] [--plain] [--benchmark]

Runs with the sources in this folder (`tunewright/`); only requirements.txt must be installed.
The weights are model/*.safetensors; nothing is unpickled, nothing is downloaded.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "model"
sys.path.insert(0, str(HERE))
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])


def assembled(place: Path) -> Path:
    """The run, or the ensemble of runs, from the files in code/configs and the weights."""
    for folder in sorted((HERE / "configs" / "runs").iterdir()):
        run = place / folder.name
        shutil.copytree(folder, run)
        (run / "checkpoints").mkdir(exist_ok=True)
        weights = MODEL / json.loads((run / "weights.json").read_text())["file"]
        target = run / "checkpoints" / "best.safetensors"
        try:
            target.symlink_to(weights)
        except OSError:  # a system without links
            shutil.copyfile(weights, target)
    ensemble = HERE / "configs" / "ensemble.json"
    if ensemble.exists():
        shutil.copyfile(ensemble, place / "ensemble.json")
        return place
    return place / "1"


def main() -> None:
    used = json.loads((HERE / "configs" / "predicted.json").read_text())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="a folder, zip or table of pictures")
    parser.add_argument("--output", default="predictions.csv")
    parser.add_argument("--tta", action="store_true", help="the views of the submission")
    parser.add_argument("--plain", action="store_true", help="labels of other pictures")
    parser.add_argument("--benchmark", action="store_true", help="time one picture, predict none")
    options = parser.parse_args()
    if not options.benchmark and options.data is None:
        parser.error("--data is needed")

    import tunewright

    words = [*used["view_words"]] if options.tta else []
    sample = HERE / "configs" / "sample_submission.csv"
    contest = {"form": used["form"]}
    if used["form"] == "top-k":
        contest["top"] = used["labels_in_a_row"]
    if sample.exists():
        contest["like"] = sample
    with tempfile.TemporaryDirectory() as place:
        run = assembled(Path(place))
        if options.benchmark:
            figures = tunewright.benchmark(run, *words, tta=options.tta).as_json()
            print(json.dumps({name: figures[name] for name in ("device", "whole", "models")}))
            return
        # The views were judged on the validation set before the submission: see README.md.
        found = tunewright.predict(
            run,
            *words,
            data=options.data,
            output=options.output,
            tta=options.tta,
            force=True,
            logit_adjustment=used["logit_adjustment"],
            category_ids=used["category_ids"],
            **({} if options.plain else contest),
        )
    print(f"{found.predictions} predictions in {options.output}")


if __name__ == "__main__":
    main()
'''


def requirements() -> str:
    """Return the requirements, each pinned to the installed version."""
    wanted = [
        re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0]
        for line in requires("tunewright") or ()
        if "extra ==" not in line
    ]
    lines = []
    for name in sorted(set(wanted)):
        try:
            installed = version(name).partition("+")[0]  # +cpu and the like are no PyPI versions
        except PackageNotFoundError:
            continue
        lines.append(f"{name}=={installed}")
    return "\n".join(lines) + "\n"


def sources() -> dict[str, Path]:
    """Return the package's files by their names under `code/`, so that it need not be installed."""
    root = Path(__file__).parents[2]
    found = {}
    for file in sorted(root.rglob("*")):
        inside = file.relative_to(root)
        if file.suffix in (".py", ".yaml") and inside.parts[0] != "testing":
            found[f"code/tunewright/{inside.as_posix()}"] = file
    return found


def readme(facts: Mapping[str, Any]) -> str:
    """Return the README of the submission; it names neither a time nor a machine.

    facts: models (name, recipe, weights, bytes, parameters, size), precision, classes, pictures,
    predictions, header, views, adjustment, accuracy (by run), tta, packages.
    """
    lines = [
        "# Submission",
        "",
        f"{facts['predictions']} predictions of {facts['classes']} classes in "
        f"`result/predictions.csv` (`{_shorten(facts['header'])}`, UTF-8 without BOM, LF).",
        "",
        "## Run it",
        "",
        f"Python {PYTHON} or newer. The package is in `code/tunewright/`: only what",
        "`requirements.txt` names must be installed. Nothing is downloaded, nothing is unpickled.",
        "",
        "```bash",
        "pip install -r requirements.txt",
        f"python code/inference.py --data DIR --output predictions.csv{facts['flags']}",
        "python code/train.py --data DIR",
        "```",
        "",
        "The first command makes `result/predictions.csv` again when DIR is the test set, "
        f"{facts['again']}.",
        "",
        "## Model",
        "",
        "| weights | recipe | model | parameters | bytes | pictures |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| model/{one['weights']} | {one['recipe']} | {one['model']} | {one['parameters']:,} | "
        f"{one['bytes']:,} | {one['size']} x {one['size']} |"
        for one in facts["models"]
    ]
    if len(facts["models"]) > 1:
        lines += ["", "Each is trained by itself: --config code/configs/runs/N/config.yaml."]
    lines += ["", *_views(facts), "", "## Layout", ""]
    lines += [
        "- `code/`: `train.py`, `inference.py`, `requirements.txt`, `configs/` (the configuration "
        "of each run), `tunewright/` (all sources).",
        "- `model/`: weights as safetensors, " + facts["precision"] + ".",
        "- `result/predictions.csv`.",
        "",
    ]
    return "\n".join(lines)


def _shorten(header: str) -> str:
    """Return the first columns of a header; a contest may have a hundred classes."""
    return header if len(header) <= 60 else f"{header[:60]}..."


def _views(facts: Mapping[str, Any]) -> list[str]:
    said = [f"Each picture is seen in {len(facts['views'])} view(s): {', '.join(facts['views'])}."]
    gain = (facts.get("tta") or {}).get("gain")
    if gain:
        said.append(
            f"On the {facts['tta']['pictures']} validation pictures the views change the "
            f"{SCORES[facts['tta'].get('metric', 'accuracy')]} by {gain['value']:+.4f} "
            f"({gain['low']:+.4f} to {gain['high']:+.4f}, 95 %, paired)."
        )
    if facts["adjustment"]:
        said.append(f"Logits are adjusted for the class frequencies, tau {facts['adjustment']:g}.")
    return said


def names_of_models(count: int) -> Sequence[str]:
    """Return `best_model.safetensors`, with a number where there are several."""
    if count == 1:
        return ("best_model.safetensors",)
    return tuple(f"best_model_{number}.safetensors" for number in range(1, count + 1))
