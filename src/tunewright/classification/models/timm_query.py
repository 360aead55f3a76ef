"""What timm knows of a model without building it; asked in a process of its own, once.

Imports no torch: timm does, so a child process asks it, and the answer is kept on disk for as
long as timm stays the same version.
"""

import json
import subprocess
import sys
from importlib.metadata import version
from typing import Any

from tunewright.classification.models.config import COLORNET, ImageModelConfig
from tunewright.classification.models.timm_info import TimmFacts
from tunewright.errors import ConfigError, RunError
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.cache import cache_folder

FORM = 1
"""Counts up when `TimmFacts` changes, so that older answers are asked for again."""


def timm_facts(name: str) -> TimmFacts:
    """What timm knows of `name`. Raises ConfigError, with the nearest name, if it knows none."""
    place = cache_folder() / "timm" / f"facts-{FORM}-{version('timm')}.json"
    stored = read_json(place) or {}
    if name not in stored:
        stored = (read_json(place) or {}) | {name: ask("facts", name)}
        write_json(place, stored)
    found = stored[name]
    if "near" in found:
        near = found["near"]
        raise ConfigError(
            f"model.name = {name!r}",
            expected="colornet_v1 or a model of timm",
            remedy=(f"Did you mean {near!r}? " if near else "")
            + "See tunewright models FILTER for names.",
        )
    return TimmFacts(**found | {"files": tuple(found["files"])})


def input_size(section: ImageModelConfig, image_size: int) -> int:
    """The side of the pictures that the model is run at.

    `section.input_size`, else the only size of a model that takes no other, else `image_size`,
    the side of the data's pictures. Raises ConfigError for a size that the model cannot take.
    """
    if section.name == COLORNET:
        return section.input_size or image_size
    facts = timm_facts(section.name)
    if facts.rigid and section.input_size not in (None, facts.size):
        raise ConfigError(
            f"model.input_size = {section.input_size} with model.name = {section.name}",
            expected=f"{facts.size}, the one size that this model takes",
        )
    return section.input_size or (facts.size if facts.rigid else image_size)


def ask(question: str, *arguments: str) -> Any:
    """Call a function of `timm_models` by name, and get its answer as plain values.

    In this process where torch is loaded anyway, else in a child. Raises RunError when the child
    fails.
    """
    if sys.modules.get("torch") is not None:
        from tunewright.classification.models import timm_models

        return getattr(timm_models, question)(*arguments)
    told = {"path": sys.path, "question": question, "arguments": arguments}
    child = subprocess.run(
        [sys.executable, "-c", _CHILD], input=json.dumps(told), capture_output=True, text=True
    )
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no word"])[-1]
        raise RunError(f"timm could not be asked about its models: {last}")
    return json.loads(child.stdout.splitlines()[-1])


_CHILD = """
import json, sys
told = json.load(sys.stdin)
sys.path[:] = told["path"]
from tunewright.classification.models import timm_models
print(json.dumps(getattr(timm_models, told["question"])(*told["arguments"])))
"""
