"""The task of learned compression: its loss and its metrics."""

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
        """Compute the rate-distortion loss; its terms are bpp by part, distortion and PSNR."""
        coded: CodedLatents = model(batch)
        return self.criterion(coded, batch)

    def predict(self, model: nn.Module, batch: Tensor) -> Arrays:
        """Return loss, bpp, psnr and, for pictures large enough, ms_ssim of each picture [B].

        PSNR and MS-SSIM are measured after clamping to 0..1 and rounding to 8 bits, as in a file.
        """
        coded: CodedLatents = model(batch)
        loss, bpp = self.criterion.by_picture(coded, batch)
        written = round_to_8_bits(coded.pictures)
        scores = {"loss": loss, "bpp": bpp, "psnr": psnr(written, batch)}
        if has_ms_ssim(min(batch.shape[-2:])):
            scores["ms_ssim"] = ms_ssim(written, batch)
        return scores

    def metrics(self) -> CompressionMetrics:
        """Return a collector of the pictures' scores."""
        return CompressionMetrics()

    def param_groups(self, model: nn.Module) -> list[Group]:
        """Return two groups: convolution kernels, which `optim.weight_decay` decays, and others.

        Scales and means of the prior and normalisation parameters do not decay, although some of
        them have several axes.
        """
        kernels = {id(part.weight) for part in model.modules() if isinstance(part, KERNELS)}
        trained = [p for p in model.parameters() if p.requires_grad]
        groups = [
            Group("kernels", [p for p in trained if id(p) in kernels]),
            Group("others", [p for p in trained if id(p) not in kernels], decays=False),
        ]
        return [group for group in groups if group.parameters]


def round_to_8_bits(pictures: Tensor) -> Tensor:
    """Clamp pictures to 0..1 and round them to 8 bits a channel, as float32."""
    return torch.round(pictures.float().clamp(0.0, 1.0) * 255.0) / 255.0
