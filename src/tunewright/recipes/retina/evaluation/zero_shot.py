"""Zero-shot classification: class vectors from sentences, averaged and made unit vectors again."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tunewright.recipes.retina.models.tripartite import TripartiteModel


@dataclass(frozen=True, eq=False)
class ClassPrompts:
    """The tokens of all sentences [T, L], and the class that each describes [T]."""

    tokens: Tensor
    class_of: Tensor
    classes: int

    def to(self, device: torch.device) -> "ClassPrompts":
        """Return the same on a device."""
        return ClassPrompts(self.tokens.to(device), self.class_of.to(device), self.classes)


def class_vectors(model: TripartiteModel, prompts: ClassPrompts) -> Tensor:
    """Return the unit vector of each class: [C, embed_dim].

    It is the mean of the unit vectors of its sentences, normalised again.
    """
    vectors = model.encode_prompts(prompts.tokens)  # [T, d]
    sums = vectors.new_zeros(prompts.classes, vectors.shape[1])
    return F.normalize(sums.index_add(0, prompts.class_of, vectors), dim=1)
