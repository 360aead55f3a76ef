"""The configuration of every recipe that classifies pictures."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import model_validator

from tunewright.classification.losses.config import CrossEntropyConfig, Loss
from tunewright.classification.models.config import FineTuneConfig, ImageModelConfig
from tunewright.classification.multi_label_checks import check_labels
from tunewright.config.schema import CosineSchedule, Goals, RunConfig, Schedule
from tunewright.images.augment.config import Augmentation, MixingConfig, NoAugmentation
from tunewright.images.dataset.config import ImagesConfig


class ClassifyConfig(RunConfig):
    """Data, model, loss, augmentation, mixing, fine-tuning and schedule of a classifier.

    A recipe says in a subclass which pictures are embedded.
    """

    implied: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "data.multi_label": {"loss.type": "binary_cross_entropy", "goal": "val_map"}
    }

    goal: Goals = "val_accuracy"
    data: ImagesConfig = ImagesConfig()
    model: ImageModelConfig = ImageModelConfig()
    loss: Loss = CrossEntropyConfig()
    augmentation: Augmentation = NoAugmentation()
    mixing: MixingConfig = MixingConfig()
    finetune: FineTuneConfig = FineTuneConfig()
    schedule: Schedule = CosineSchedule()

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        check_labels(self.data, self.loss, self.mixing, self.goals)
        return self

    @staticmethod
    @abstractmethod
    def write_embedded(folder: Path) -> None:
        """Write the set used if `data.dir` is null: pictures and an index.csv."""
