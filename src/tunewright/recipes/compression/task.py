"""What is trained when pictures are compressed, and what it is judged by."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from tunewright.recipes.compression.config import METRICS
from tunewright.recipes.compression.config_checks import has_ms_ssim
from tunewright.recipes.compression.evaluation.metrics import CompressionMetrics
from tunewright.recipes.compression.models.compressor import CodedLatents
from tunewright.recipes.compression.ms_ssim import ms_ssim
from tunewright.recipes.compression.rate_distortion import RateDistortion, psnr
from tunewright.training.task import Arrays, Group, Loss, Task

KERNELS = (nn.Conv2d, nn.ConvTranspose2d)


class CompressionTask(Task):
    """Rate and distortion of crops [B, 3, H, W]; bits are estimated from likelihoods."""

    metrics_directions: Mapping[str, Literal["max", "min"]] = METRICS

    def __init__(self, criterion: RateDistortion) -> None:
        self.criterion = criterion

    def loss(self, model: nn.Module, batch: Tensor) -> Loss:
        """The criterion, with bits per pixel by part, distortion and PSNR as terms."""
        coded: CodedLatents = model(batch)
        return self.criterion(coded, batch)

    def predict(self, model: nn.Module, batch: Tensor) -> Arrays:
        """Of each picture [B]: loss, bpp, psnr, and ms_ssim where it is large enough.

        PSNR and MS-SSIM are of pictures as they are written: cut off at black and white and
        rounded to 8 bits.
        """
        coded: CodedLatents = model(batch)
        loss, bpp = self.criterion.by_picture(coded, batch)
        written = round_to_8_bits(coded.pictures)
        scores = {"loss": loss, "bpp": bpp, "psnr": psnr(written, batch)}
        if has_ms_ssim(min(batch.shape[-2:])):
            scores["ms_ssim"] = ms_ssim(written, batch)
        return scores

    def metrics(self) -> CompressionMetrics:
        """A collector of scores of pictures."""
        return CompressionMetrics()

    def param_groups(self, model: nn.Module) -> list[Group]:
        """Kernels of convolutions decay, where `optim.weight_decay` asks for it; nothing else.

        Scales and means of the prior, and what normalises, are no matrices, though some of them
        have several axes.
        """
        kernels = {id(part.weight) for part in model.modules() if isinstance(part, KERNELS)}
        trained = [p for p in model.parameters() if p.requires_grad]
        groups = [
            Group("kernels", [p for p in trained if id(p) in kernels]),
            Group("others", [p for p in trained if id(p) not in kernels], decays=False),
        ]
        return [group for group in groups if group.parameters]


def round_to_8_bits(pictures: Tensor) -> Tensor:
    """Float32 pictures in 0 to 1 as a file of 8 bits a channel holds them."""
    return torch.round(pictures.float().clamp(0.0, 1.0) * 255.0) / 255.0
