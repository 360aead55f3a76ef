"""Begin from weights in files: of a whole model, or of one of its encoders."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from tunewright.errors import DataError
from tunewright.recipes.retina.config import TripartiteConfig
from tunewright.recipes.retina.models.published_names import (
    PROJECTION,
    TEXT,
    VISION,
    is_published,
    strip_module,
    text_weights,
    translate,
    vision_weights,
)
from tunewright.recipes.retina.models.tripartite import TripartiteModel
from tunewright.training.weights.weights_file import read_weights, weights_of

LISTED = 8
"""Names of each kind that a message lists."""


def load_initial(model: TripartiteModel, section: TripartiteConfig) -> list[str]:
    """Load the files that a configuration begins from; return notices on them.

    Weights of an encoder take the place of those in `weights`. Raises DataError that lists what
    does not match.
    """
    notices = []
    if section.weights is not None:
        notices += load_whole(model, Path(section.weights))
    if section.vision_weights is not None:
        notices += _load_part(model, Path(section.vision_weights), "vision")
    if section.text_weights is not None:
        notices += _load_part(model, Path(section.text_weights), "text")
    return notices


def load_whole(model: TripartiteModel, given: Path) -> list[str]:
    """Load the weights of a whole model, strictly; return notices on what was set aside.

    given: a run folder, or a file of tensors: a bare state dict or one inside a checkpoint, with or
    without `module.` before its names, which are ours or those of RET-CLIP. Raises DataError that
    lists what does not match.
    """
    file = weights_of(given)
    stored, notices = read_weights(file)
    found = strip_module(stored)
    aside: list[str] = []
    if is_published(found):
        found, aside = translate(found)
        notices = [*notices, "its names are those of RET-CLIP, translated to ours"]
    found, resized = _with_positions(model, found)
    _refuse_mismatch(model.state_dict(), found, f"model.weights = {file}")
    model.load_state_dict(found)
    return [f"initial weights: {file}", *notices, *resized, *_aside(aside)]


def _load_part(model: TripartiteModel, given: Path, kind: str) -> list[str]:
    """Load the weights of an encoder, strictly; an image encoder may lack its projection."""
    key, start = f"model.{kind}_weights", VISION if kind == "vision" else TEXT
    file = weights_of(given)
    stored, notices = read_weights(file, key)
    select = vision_weights if kind == "vision" else text_weights
    found, aside = select(strip_module(stored))
    found, resized = _with_positions(model, found)
    own = {name: t for name, t in model.state_dict().items() if name.startswith(start)}
    if kind == "vision" and PROJECTION not in found:
        del own[PROJECTION]
        resized.append(f"{key} has no projection into the shared space: it begins anew")
    _refuse_mismatch(own, found, f"{key} = {file}")
    model.load_state_dict(found, strict=False)
    what = "image" if kind == "vision" else "text"
    return [f"initial weights of the {what} encoder: {file}", *notices, *resized, *_aside(aside)]


def _refuse_mismatch(own: Mapping[str, Tensor], found: Mapping[str, Tensor], came: str) -> None:
    missing, strange = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
    shapes = [
        f"{name} is {list(found[name].shape)}, not {list(own[name].shape)}"
        for name in sorted(own.keys() & found.keys())
        if own[name].shape != found[name].shape
    ]
    problems = [
        f"{len(names):,} {what} ({_some(names)})"
        for what, names in (("missing", missing), ("unknown", strange), ("of other shapes", shapes))
        if names
    ]
    if problems:
        raise DataError(
            f"{came} does not fit this model: {'; '.join(problems)}",
            expected="the weights of the same model.vision, model.text and widths",
        )


def _with_positions(
    model: TripartiteModel, found: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights with positions of the patches for pictures of this model's size."""
    name = "image_encoder.backbone.pos_embed"
    own, theirs = model.state_dict().get(name), found.get(name)
    if own is None or theirs is None or own.shape == theirs.shape or own.ndim != theirs.ndim:
        return dict(found), []
    from timm.layers.pos_embed import resample_abs_pos_embed

    side, before = (int((t.shape[1] - 1) ** 0.5) for t in (own, theirs))
    resampled = resample_abs_pos_embed(theirs, new_size=[side, side], num_prefix_tokens=1)
    notice = f"positions of {before} x {before} patches are resampled to {side} x {side}"
    return {**found, name: resampled}, [notice]


def _aside(names: list[str]) -> list[str]:
    return [f"weights that the model does not use: {_some(names)}"] if names else []


def _some(names: list[str]) -> str:
    rest = f", and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest
