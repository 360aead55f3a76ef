"""List the trainable models with their sizes, built on the meta device without weights."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from tunewright.classification.models.config import (
    COLORNET,
    FLOWER_MODELS,
    OPTIMIZED_MODELS,
    ImageModelConfig,
)
from tunewright.classification.models.image_classifier import (
    head_modules,
    input_size,
    make_image_model,
)
from tunewright.classification.models.timm_models import names
from tunewright.classification.models.timm_query import timm_facts

FUSED = ("msff", "global_concat", "simple_concat")
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
ALIGNED = ("I64", "F32", "BF16", "F16")
"""Order of dtypes in a safetensors file, the widest first."""


@dataclass(frozen=True)
class ModelRow:
    """One model for `classes` classes.

    name: to look it up; settings: arguments that select it. backbone_parameters: without the last
    layer, and without the fusion if there is one. bytes_fp32, bytes_fp16: size of the exported
    safetensors file. input_size: side of its input; fixed: it takes no other. licence: of the
    published weights, `unknown` if timm does not say, `none` if there are none.
    """

    name: str
    settings: str
    parameters: int
    backbone_parameters: int
    bytes_fp32: int
    bytes_fp16: int
    input_size: int
    fixed: bool
    licence: str


def table(wanted: str, classes: int, limit: int) -> dict[str, Any]:
    """Return the rows that match `wanted` as plain values: short names first, then timm's.

    wanted: part of a name, or a pattern with `*`; empty for the short names alone. `left_out`
    counts matches beyond `limit`, `failed` names what timm could not build, and `near` lists
    similar names if nothing matched.
    """
    found = list(_matching(wanted))
    rows, failed = [], []
    for name, section in found[:limit]:
        try:
            rows.append(asdict(row_of(name, section, classes)))
        except Exception as error:  # it needs a package, or the meta device fails
            failed.append(f"{name} ({' '.join(str(error).split())[:100]})")
    known = names()
    every = dict.fromkeys([*_short(), *known])
    near = [] if found else get_close_matches(wanted, list(every), n=3, cutoff=0.5)
    return {
        "rows": rows,
        "left_out": max(0, len(found) - limit),
        "failed": failed,
        "near": near,
        "known": len(known),
    }


def row_of(name: str, section: ImageModelConfig, classes: int) -> ModelRow:
    """Build one model on the meta device, and count its parameters."""
    bare = section.model_copy(update={"pretrained": False})
    size, fixed, licence = input_size(bare, 224), False, "none"
    if section.name != COLORNET:
        facts = timm_facts(section.name)
        size, fixed = section.input_size or facts.size, facts.rigid
        if facts.has_weights:
            licence = facts.licence or "unknown"
    with torch.device("meta"):
        model = make_image_model(bare, classes, image_size=size)
    state = model.state_dict()
    heads = {id(p) for head in head_modules(model) for p in head.parameters()}
    return ModelRow(
        name,
        _settings(section),
        sum(parameter.numel() for parameter in model.parameters()),
        sum(p.numel() for p in model.parameters() if id(p) not in heads),
        safetensors_bytes(state),
        safetensors_bytes(state, half=True),
        size,
        fixed,
        licence,
    )


def safetensors_bytes(state: Mapping[str, Tensor], *, half: bool = False) -> int:
    """Return the size of the file that these tensors would fill, including its header.

    half: floating-point tensors in 16 bits. Source: the format's description; tensors are sorted by
    dtype, then by name, after a JSON header that is padded to 8 bytes. A header of 13 bytes takes 8
    + 16.
    """
    entries = []
    for name, tensor in state.items():
        dtype = torch.float16 if half and tensor.is_floating_point() else tensor.dtype
        entries.append((ALIGNED.index(DTYPES[dtype]), name, dtype, list(tensor.shape)))
    header, at = {}, 0
    for _, name, dtype, shape in sorted(entries, key=lambda entry: entry[:2]):
        end = at + torch.Size(shape).numel() * dtype.itemsize
        header[name] = {"dtype": DTYPES[dtype], "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(text) // 8) * 8 + at


def _matching(wanted: str) -> Iterator[tuple[str, ImageModelConfig]]:
    """Yield names and sections that match, each model once."""
    pattern = wanted if any(sign in wanted for sign in "*?[") else f"*{wanted}*"
    shown = set()
    for name, section in _short().items():
        if any(fnmatchcase(each, pattern) for each in (name, section.name)):
            shown.add(section.name)
            yield name, section
    if wanted:
        for name in names(tags="." in wanted):
            if fnmatchcase(name, pattern) and name not in shown:
                yield name, ImageModelConfig(name=name, fusion="none")


def _short() -> dict[str, ImageModelConfig]:
    """Return the flowers' models, then ColorNet-V1 with each of its fusions."""
    fused = {f"{COLORNET} {fusion}": ImageModelConfig(fusion=fusion) for fusion in FUSED}  # type: ignore[arg-type]
    return {**FLOWER_MODELS, **OPTIMIZED_MODELS, **fused}


def _settings(section: ImageModelConfig) -> str:
    words = [f"model.name={section.name}", f"model.fusion={section.fusion}"]
    if section.input_size is not None:
        words.append(f"model.input_size={section.input_size}")
    return " ".join(words)
