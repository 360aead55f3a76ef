"""The configuration of every recipe that sorts pictures into classes."""

from abc import abstractmethod
from pathlib import Path

from tunewright.classification.losses.config import CrossEntropy, Loss
from tunewright.classification.models.config import FineTune, ImageModel
from tunewright.config.schema import Cosine, Goals, RunConfig, Schedule
from tunewright.images.augment.config import Augmentation, Mixing, NoAugmentation
from tunewright.images.dataset.config import ImagesData


class ClassifyConfig(RunConfig):
    """Pictures, a network, a loss, how pictures are varied, how gently the network is changed.

    A recipe says in a subclass which pictures are embedded.
    """

    goal: Goals = "val_accuracy"
    data: ImagesData = ImagesData()
    model: ImageModel = ImageModel()
    loss: Loss = CrossEntropy()
    augmentation: Augmentation = NoAugmentation()
    mixing: Mixing = Mixing()
    finetune: FineTune = FineTune()
    schedule: Schedule = Cosine()

    @staticmethod
    @abstractmethod
    def write_embedded(folder: Path) -> None:
        """Write the set that is used where `data.dir` is null: pictures and an index.csv."""
