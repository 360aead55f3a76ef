"""The configuration of every recipe that sorts pictures into classes."""

from tunewright.config.schema import Cosine, Goals, RunConfig, Schedule
from tunewright.parts.classify.loss_config import CrossEntropy, Loss
from tunewright.parts.classify.model_config import FineTune, ImageModel
from tunewright.parts.images.augmentation_config import Augmentation, Mixing, NoAugmentation
from tunewright.parts.images.config import ImagesData


class ClassifyConfig(RunConfig):
    """Pictures, a network, a loss, how pictures are varied, how gently the network is changed."""

    goal: Goals = "val_accuracy"
    data: ImagesData = ImagesData()
    model: ImageModel = ImageModel()
    loss: Loss = CrossEntropy()
    augmentation: Augmentation = NoAugmentation()
    mixing: Mixing = Mixing()
    finetune: FineTune = FineTune()
    schedule: Schedule = Cosine()
