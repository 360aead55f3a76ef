"""Run folders of `flowers` with a tiny network, as a training leaves them, but not trained."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from tunewright.classification.classes_file import ClassIndex, write_classes
from tunewright.classification.data_checks import open_sets
from tunewright.classification.setup import make_model
from tunewright.request import parse_request
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome
from tunewright.search.prepare import run_part

TINY = ("model.name=test_resnet", "data.image_size=32", "executor.type=inline")


def untrained_run(path: Path, *words: str, seed: int = 1, outcome: str = "done") -> RunFolder:
    """Write a run of `flowers` with random weights."""
    request = parse_request(["flowers", *TINY, *words, f"seed={seed}"], command="train")
    config = request.composed.config
    folder = RunFolder(path)
    folder.write_config(run_part(request.composed.tree))
    folder.begin_attempt()
    sets = open_sets(config)
    torch.manual_seed(seed)
    model = make_model(config, len(sets.classes), on_notice=lambda _: None)
    folder.checkpoints.mkdir(exist_ok=True)
    header = {"epoch": "1", "score": "0.5", "metrics": "{}"}
    save_file(model.state_dict(), folder.checkpoints / "best.safetensors", metadata=header)
    write_classes(folder, ClassIndex.of(sets, config.data.dir))
    folder.write_outcome(Outcome(outcome, folder.attempt))
    return folder
