"""The encoders that `model.vision` and `model.text` may name. Imports without torch."""

import difflib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tunewright.errors import ConfigError
from tunewright.recipes.retina.config import TripartiteConfig


@dataclass(frozen=True)
class VisionShape:
    """An image encoder: timm's name, the width of its shared space, its pictures' side.

    weights: timm's tag of the published weights; empty where there are none.
    """

    timm: str
    embed_dim: int
    side: int
    weights: str = "openai"


VISION = {
    "ViT-B-16": VisionShape("vit_base_patch16_clip_quickgelu_224", 512, 224),
    "ViT-B-32": VisionShape("vit_base_patch32_clip_quickgelu_224", 512, 224),
    "ViT-L-14": VisionShape("vit_large_patch14_clip_quickgelu_224", 768, 224),
    "ViT-L-14-336": VisionShape("vit_large_patch14_clip_quickgelu_336", 768, 336),
    "RN50": VisionShape("resnet50_clip", 1024, 224),
    "small": VisionShape("test_resnet", 128, 64, ""),
}
"""The shapes of CLIP (Radford et al., ICML 2021, tables 19 and 20), and one for a CPU."""

TEXT = {
    "RoBERTa-wwm-ext-base-chinese": "hfl/chinese-roberta-wwm-ext",
    "PubMedBERT": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext",
    "BERT-base": "bert-base-uncased",
    "BioBERT": "dmis-lab/biobert-base-cased-v1.2",
}
"""The text encoders of the guide, and their names on the hub."""
SMALL = "small"
OTHER_WIDTH = 512
"""Width of the shared space for image encoders that are no shape of CLIP."""


def vision_shape(name: str) -> VisionShape:
    """Return the shape of an image encoder; raises ConfigError for an unknown name."""
    if (known := VISION.get(name)) is not None:
        return known
    # timm imports torch: in another process, so that this one stays free of it.
    from tunewright.classification.models.timm_query import timm_facts

    try:
        found = timm_facts(name)
    except ConfigError as error:
        near = difflib.get_close_matches(name, VISION, n=1)
        raise ConfigError(
            f"model.vision = {name!r}",
            expected=f"one of {', '.join(VISION)}, or a model of timm",
            remedy=f"Did you mean {near[0]!r}?" if near else str(error),
        ) from None
    return VisionShape(found.name, OTHER_WIDTH, found.size, "")


def check_text_name(model: TripartiteConfig) -> None:
    """Raise ConfigError for a text encoder that cannot be opened here."""
    name = model.text
    if name == SMALL:
        if model.text_width % model.text_heads:
            raise ConfigError(
                f"model.text_heads = {model.text_heads} with model.text_width = {model.text_width}",
                expected="heads that divide the width",
            )
        return
    if name not in TEXT and not Path(name).expanduser().is_dir():
        near = difflib.get_close_matches(name, [*TEXT, SMALL], n=1)
        raise ConfigError(
            f"model.text = {name!r}",
            expected=f"{SMALL}, {', '.join(TEXT)}, or a folder with a model of transformers",
            remedy=f"Did you mean {near[0]!r}?" if near else "",
        )
    if find_spec("transformers") is None:
        raise ConfigError(
            f"model.text = {name!r} needs the package transformers",
            remedy='Install it with pip install "tunewright[retina]", or set model.text=small.',
        )
