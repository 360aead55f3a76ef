"""The configuration of `pairs`: two projection heads on paired embeddings."""

from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.schema import Goals, RunConfig
from tunewright.config.section import Count, Fraction, Positive, Section

METRICS: dict[str, Literal["max", "min"]] = {
    "recall_1": "max",
    "mean_recall": "max",
    **{f"{way}_r{k}": "max" for way in ("i2t", "t2i") for k in (1, 5, 10, 50)},
    "i2t_mrr": "max",
    "t2i_mrr": "max",
    "i2t_median_rank": "min",
    "t2i_median_rank": "min",
}


class PairsDataConfig(Section):
    """Where the embeddings are: `{dir}/{train}_image_embeddings.npy` and so on.

    dir: null for the embedded digits. train, valid, test: name of the set, the start of its files;
    test may be null. *_metadata: file names, if not `{name}_metadata.json`.
    texts_repeat: count rows with the same text as one text in the metrics. positives: which rows
    of a batch are positives of each other in the loss: those that share an image, or
    (`image_or_text`) an image or a text.
    """

    dir: str | None = None
    train: str = "train"
    valid: str = "val"
    test: str | None = "test"
    train_metadata: str | None = None
    valid_metadata: str | None = None
    test_metadata: str | None = None
    texts_repeat: bool = True
    positives: Literal["image", "image_or_text"] = "image"


class SiglipHeadConfig(Section):
    """LayerNorm, dropout, one linear map.

    output_dim: width of the shared space. dropout: before the linear map.
    """

    type: Literal["siglip"] = "siglip"
    output_dim: Count = 512
    dropout: Fraction = 0.0


class ClipHeadConfig(Section):
    """Two linear maps with GELU between them.

    output_dim: width of the shared space. hidden_dim: width between the maps. dropout: after the
    GELU.
    """

    type: Literal["clip"] = "clip"
    output_dim: Count = 512
    hidden_dim: Count = 1024
    dropout: Fraction = 0.1


class MlpHeadConfig(Section):
    """The `clip` head with a LayerNorm at its end.

    output_dim: width of the shared space. hidden_dim: width between the maps. dropout: after the
    GELU.
    """

    type: Literal["mlp"] = "mlp"
    output_dim: Count = 512
    hidden_dim: Count = 1024
    dropout: Fraction = 0.1


class AttentionHeadConfig(Section):
    """Self-attention over slices of the vector.

    output_dim: width of the shared space. dropout: in each layer. num_heads: of the attention; no
    effect with one token. num_layers: layers of the encoder. tokens: slices of the vector.
    """

    type: Literal["attention"] = "attention"
    output_dim: Count = 512
    dropout: Fraction = 0.0
    num_heads: Count = 8
    num_layers: Count = 2
    tokens: Count = 1


class SigmoidLossConfig(Section):
    """Pairwise sigmoid loss (Zhai et al. 2023).

    temperature: similarities are divided by it; the first value where it is learnt.
    learnable_temp: whether it is learnt. sigmoid_bias: learn an offset of the logits, too.
    """

    type: Literal["sigmoid"] = "sigmoid"
    temperature: Positive = 0.1
    learnable_temp: bool = True
    sigmoid_bias: bool = True


class SoftmaxLossConfig(Section):
    """Symmetric InfoNCE (Radford et al. 2021) with several positives.

    temperature: similarities are divided by it; the first value where it is learnt.
    learnable_temp: whether it is learnt.
    """

    type: Literal["softmax"] = "softmax"
    temperature: Positive = 0.07
    learnable_temp: bool = True


class QueueLossConfig(Section):
    """InfoNCE with a queue of earlier texts as additional negatives.

    temperature: similarities are divided by it; the first value where it is learnt.
    learnable_temp: whether it is learnt. queue_size: texts in the queue. mask_batch_duplicates:
    other captions of the same image in the batch are no negatives.
    """

    type: Literal["queue"] = "queue"
    temperature: Positive = 0.07
    learnable_temp: bool = False
    queue_size: Count = 4096
    mask_batch_duplicates: bool = True


class PairsConfig(RunConfig):
    """Everything that can be set for `pairs`."""

    recipe: Literal["pairs"] = "pairs"
    goal: Goals = "val_recall_1"
    data: PairsDataConfig = PairsDataConfig()
    model: Annotated[
        SiglipHeadConfig | ClipHeadConfig | MlpHeadConfig | AttentionHeadConfig,
        Field(discriminator="type"),
    ] = SiglipHeadConfig()
    loss: Annotated[
        SigmoidLossConfig | SoftmaxLossConfig | QueueLossConfig, Field(discriminator="type")
    ] = SigmoidLossConfig()
