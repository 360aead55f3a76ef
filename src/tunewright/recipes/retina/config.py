"""The configuration of `retina`: pairs of eyes, their reports, and a tripartite model."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from tunewright.config.schema import CosineSchedule, Goals, RunConfig, Schedule
from tunewright.config.section import Count, Fraction, NotNegative, PathText, Positive, Section
from tunewright.images.augment.config import Augmentation, NoAugmentation

RETRIEVAL_METRICS = (
    "recall_1",
    "mean_recall",
    *(f"{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)),
)
METRICS: dict[str, Literal["max", "min"]] = {
    **dict.fromkeys(RETRIEVAL_METRICS, "max"),
    "accuracy": "max",
    "balanced_accuracy": "max",
    "macro_f1": "max",
    "mean_auroc": "max",
    "mean_aupr": "max",
    "kappa": "max",
}

TEMPLATES = (
    "a fundus photograph of {}",
    "a retinal image showing {}",
    "{}",
    "the eye shows {}",
    "fundus with {}",
)
"""Neutral sentences around a class name, written without looking at any data set."""

INITIAL_TEMPERATURE = 1 / 90
"""Of all three branches (Du et al., RET-CLIP, MICCAI 2024)."""


class EyesConfig(Section):
    """Patients with photographs of both eyes and their reports.

    dir: a folder, zip or table; null for pairs of eyes that the recipe draws. image_size: side of
    the pictures, in pixels; null is the size of the image encoder. labels: columns that are 1 where
    a patient has a label; null finds them. class_names: readable names of classes, for prompts.
    val_split, test_split: fraction of the patients to hold out where the source has no such split.
    split_seed: of that split. train_rows: at most so many patients are trained on, stratified.
    valid_rows: at most so many are validated on. one_eye: what becomes of a patient without one of
    the photographs: only that eye's branch is trained (`skip`), or the patient branch gets the
    other eye twice (`repeat`). mirror_right: mirror right eyes, so that both have the same anatomy.
    skip_bad: leave out, and list, pictures that cannot be read. store: where decoded pictures are
    kept.
    """

    dir: PathText | None = None
    image_size: Count | None = None
    labels: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    class_names: dict[str, str] = Field(default_factory=dict)
    val_split: Fraction = 0.15
    test_split: Fraction = 0.15
    split_seed: int = 42
    train_rows: Count | None = None
    valid_rows: Count | None = None
    one_eye: Literal["skip", "repeat"] = "skip"
    mirror_right: bool = False
    skip_bad: bool = False
    store: Literal["auto", "memory", "device"] = "auto"


class TripartiteConfig(Section):
    """A shared image encoder, a text encoder, and three projections of each.

    vision: ViT-B-16, ViT-B-32, ViT-L-14, ViT-L-14-336, RN50, small, or any model of timm. text:
    small (trained from nothing on the words of the training texts), or BERT-base, PubMedBERT,
    BioBERT, RoBERTa-wwm-ext-base-chinese, or a folder of transformers. embed_dim: width of the
    shared space; null is that of the image encoder. context_length: tokens of a text; the rest is
    cut off. pretrained: begin with timm's weights of the image encoder. weights: a file of a whole
    model to begin from, or a run; names may be those of RET-CLIP. vision_weights, text_weights: a
    file for one encoder, in place of `weights` there: of a whole model, of CLIP, of BERT.
    mask_ratio: fraction of the patches that are left out in training. grad_checkpointing: compute
    activations again in place of keeping them. freeze_vision, freeze_text: keep an encoder as it
    is. text_width, text_layers, text_heads: shape of the small text encoder. dropout: in the small
    text encoder.
    """

    vision: str = "small"
    text: str = "small"
    embed_dim: Count | None = None
    context_length: Annotated[int, Field(ge=3)] = 100
    pretrained: bool = False
    weights: PathText | None = None
    vision_weights: PathText | None = None
    text_weights: PathText | None = None
    mask_ratio: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    grad_checkpointing: bool = False
    freeze_vision: bool = False
    freeze_text: bool = False
    text_width: Count = 128
    text_layers: Count = 2
    text_heads: Count = 4
    dropout: Fraction = 0.1


class TripartiteLossConfig(Section):
    """The sum of the contrastive losses of patient, left and right eye.

    temperature: similarities are divided by it, in all three branches; null begins at 1/90.
    learnable_temp: whether it is learnt; null learns it unless `temperature` is set. branches: all
    three, or the patient's alone, for sets that show one view of a patient. multi_positive: equal
    texts of a batch are positives of each other, not negatives.
    """

    temperature: Positive | None = None
    learnable_temp: bool | None = None
    branches: Literal["all", "patient"] = "all"
    multi_positive: bool = True

    @property
    def initial_temperature(self) -> float:
        """The temperature at the start."""
        return INITIAL_TEMPERATURE if self.temperature is None else self.temperature

    @property
    def learns_temperature(self) -> bool:
        """Whether the temperatures are trained."""
        return self.temperature is None if self.learnable_temp is None else self.learnable_temp


def _with_place(templates: tuple[str, ...]) -> tuple[str, ...]:
    if not templates or any("{}" not in template for template in templates):
        raise ValueError("sentences with {} where the class name belongs, at least one")
    return templates


class ZeroShotConfig(Section):
    """How classes are described for zero-shot classification.

    templates: sentences with {} for the class name; the vectors of all are averaged. prompts: by
    class, sentences in place of the templates.
    """

    templates: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_with_place)] = (
        TEMPLATES
    )
    prompts: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] | None = None


class RetinaConfig(RunConfig):
    """Everything that can be set for `retina`.

    warmup: of the learning rate: steps from 1 on, a fraction of all steps below 1; null leaves it
    to `schedule`.
    """

    recipe: Literal["retina"] = "retina"
    goal: Goals = "val_balanced_accuracy"
    data: EyesConfig = EyesConfig()
    model: TripartiteConfig = TripartiteConfig()
    loss: TripartiteLossConfig = TripartiteLossConfig()
    augmentation: Augmentation = NoAugmentation()
    zero_shot: ZeroShotConfig = ZeroShotConfig()
    schedule: Schedule = CosineSchedule()
    warmup: NotNegative | None = None

    @field_validator("warmup")
    @classmethod
    def _whole_steps(cls, warmup: float | None) -> float | None:
        if warmup is not None and warmup >= 1 and warmup != int(warmup):
            raise ValueError("whole steps from 1 on, or a fraction of all steps below 1")
        return warmup

    @model_validator(mode="after")
    def _with_warmup(self) -> Self:
        """Let the schedule follow `warmup`, so that the trainer needs to know no other key."""
        if self.warmup is None:
            return self
        changed: dict[str, Any] = {"warmup_steps": None, "warmup_epochs": None}
        if self.warmup >= 1:
            changed["warmup_steps"] = int(self.warmup)
        else:
            changed["warmup_fraction"] = self.warmup
        # The section is frozen for its readers; this is still its construction.
        object.__setattr__(self, "schedule", self.schedule.model_copy(update=changed))
        return self
