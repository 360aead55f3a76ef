"""A trained image classifier, opened from its run folder."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from tunewright.classification.classes_file import check_same, classes_of_run, data_dir_of
from tunewright.classification.config import ClassifyConfig
from tunewright.classification.data_checks import open_sets
from tunewright.classification.models.image_classifier import input_size
from tunewright.classification.setup import make_model, normalisation
from tunewright.config.check import validate
from tunewright.errors import DataError
from tunewright.images.dataset.config import Window
from tunewright.images.dataset.datasets import ImageSets
from tunewright.images.loading.batches import Normalisation, normalise
from tunewright.images.loading.square import SquareInput
from tunewright.runs.folder import RunFolder
from tunewright.training.checkpoint import load_weights


@dataclass(frozen=True)
class Classifier:
    """The best weights of a run, with all that is needed to use them as they were trained.

    model: in evaluation mode, on `device`. classes: as the source writes them; the index is the
    label. size: side in pixels of the model's input. class_counts: [C] int64, of the training set.
    """

    folder: RunFolder
    config: ClassifyConfig
    model: nn.Module
    classes: tuple[str, ...]
    size: int
    normalise: Normalisation
    class_counts: Tensor
    device: torch.device

    @property
    def square(self) -> SquareInput:
        """What its model takes: `size`, and how pictures are fitted to it."""
        return SquareInput(self.size, self.config.data.resize)

    @property
    def window(self) -> Window | None:
        """The stored values that become black and white; see `ImagesConfig`."""
        return self.config.data.window

    @property
    def multi_label(self) -> bool:
        """Whether a picture may have several labels, each a yes or no by its own logit."""
        return self.config.data.multi_label

    @cached_property
    def sets(self) -> ImageSets:
        """The data sets that it was trained and validated on, opened on first use.

        A prediction does not need them. Raises DataError if they are gone or have other classes.
        """
        place = self.config.data.dir
        if place is not None and not Path(place).expanduser().exists():
            raise DataError(
                f"the pictures that {self.folder.path} was trained on are no longer in {place}",
                expected="the pictures, to measure on the training, validation or test set",
                remedy=f"Restore them, or set data.dir to their new place in {self.folder.config}.",
            )
        return check_same(self.folder, self.classes, open_sets(self.config))

    def logits(self, pictures: Tensor) -> Tensor:
        """Return logits [B, C] in float32 of pictures [B, 3, size, size], uint8 on any device."""
        with torch.no_grad():
            logits: Tensor = self.model(self.prepare(pictures))
            return logits.float()

    def prepare(self, pictures: Tensor) -> Tensor:
        """Normalise pictures for the model: [B, 3, size, size] float32, on its device.

        pictures: uint8, or float in [0, 1].
        """
        moved = pictures.to(self.device)
        if moved is pictures and moved.is_floating_point():
            moved = moved.clone()  # normalised in place below
        return normalise(moved, self.normalise)


def open_classifier(
    folder: RunFolder, schema: type[ClassifyConfig], device: torch.device
) -> Classifier:
    """Open the classifier of a run; raises DataError if it has no weights.

    Its classes are read from the run; the first call writes them there if the data is available.
    """
    config = validate(folder.read_config(), schema)
    known = classes_of_run(folder, partial(open_sets, config), config.data.dir)
    data = config.data.model_copy(update={"dir": data_dir_of(known, config.data.dir)})
    config = config.model_copy(update={"data": data})
    nothing = {"pretrained": False, "weights": None, "sha256": None}  # the run has its own weights
    fresh = config.model_copy(update={"model": config.model.model_copy(update=nothing)})
    model = make_model(fresh, len(known.classes))
    model.load_state_dict(load_weights(folder.checkpoints / "best.safetensors"))
    model.to(device).eval()
    return Classifier(
        folder,
        config,
        model,
        known.classes,
        input_size(config.model, config.data.image_size),
        normalisation(model),
        torch.tensor(known.counts),
        device,
    )
