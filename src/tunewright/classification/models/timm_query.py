"""Ask timm about a model without building it, in a child process, once per model.

Imports no torch: timm does, so a child process asks it, and the answer is kept on disk until timm's
version changes.
"""

from importlib.metadata import version
from typing import Any

from tunewright.classification.models.config import COLORNET, ImageModelConfig
from tunewright.classification.models.timm_info import TimmFacts
from tunewright.errors import ConfigError
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.cache import cache_folder
from tunewright.runs.machine.child_process import call_in_child

FORM = 1
"""Version of `TimmFacts`; older answers are asked for again."""


def timm_facts(name: str) -> TimmFacts:
    """Return what timm knows about `name`; raises ConfigError, with the nearest name."""
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
            expected="colornet_v1 or the name of a timm model",
            remedy=(f"Did you mean {near!r}? " if near else "")
            + "List names with: tunewright models FILTER.",
        )
    return TimmFacts(**found | {"files": tuple(found["files"])})


def input_size(section: ImageModelConfig, image_size: int) -> int:
    """Return the side of the model's input.

    That is `section.input_size`, else the only size that the model takes, else `image_size`, the
    side of the data's pictures. Raises ConfigError for a size that the model cannot take.
    """
    if section.name == COLORNET:
        return section.input_size or image_size
    facts = timm_facts(section.name)
    if facts.rigid and section.input_size not in (None, facts.size):
        raise ConfigError(
            f"model.input_size = {section.input_size} with model.name = {section.name}",
            expected=f"{facts.size}, the only size that this model takes",
        )
    return section.input_size or (facts.size if facts.rigid else image_size)


def ask(question: str, *arguments: str) -> Any:
    """Call a function of `timm_models` by name, and return its result as plain values."""
    return call_in_child(f"tunewright.classification.models.timm_models:{question}", *arguments)
