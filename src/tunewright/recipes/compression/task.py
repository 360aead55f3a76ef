"""The task of learned compression: its loss and its metrics."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tunewright.recipes.compression.config import METRICS
from tunewright.recipes.compression.config_checks import has_ms_ssim
from tunewright.recipes.compression.evaluation.metrics import CompressionMetrics
from tunewright.recipes.compression.finetune.schedule import FineTuneSchedule
from tunewright.recipes.compression.models.compressor import CodedLatents
from tunewright.recipes.compression.ms_ssim import ms_ssim
from tunewright.recipes.compression.rate_distortion import RateDistortion, psnr
from tunewright.training.finetune.freezing import frozen_for_now
from tunewright.training.task import Arrays, Clock, Group, Loss, Task

KERNELS = (nn.Conv2d, nn.ConvTranspose2d)


class CompressionTask(Task):
    """Rate and distortion of crops [B, 3, H, W]; bits are estimated from likelihoods.

    finetune: which parts train when; None trains all of them all the time. scores_scales: whether
    each of HPCM's scales has its share of the validation loss among the metrics.
    """

    metrics_directions: Mapping[str, Literal["max", "min"]] = METRICS
    scores_scales: bool = False

    def __init__(self, criterion: RateDistortion) -> None:
        self.criterion = criterion
        self.finetune: FineTuneSchedule | None = None

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
        if self.scores_scales:
            losses = self.criterion.scale_losses(coded, batch)
            scores |= {f"{scale}_loss": loss for scale, loss in losses.items()}
        return scores

    def metrics(self) -> CompressionMetrics:
        """Return a collector of the pictures' scores."""
        return CompressionMetrics()

    def param_groups(self, model: nn.Module) -> list[Group]:
        """Return two groups: convolution kernels, which `optim.weight_decay` decays, and others.

        Scales and means of the prior and normalisation parameters do not decay, although some of
        them have several axes. Parts that are fine-tuned at rates of their own have groups of their
        own; those that never train have none.
        """
        kernels = {id(part.weight) for part in model.modules() if isinstance(part, KERNELS)}
        scales = {} if self.finetune is None else self.finetune.plan.scales
        waiting = frozen_for_now(model)
        found: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            scale = scales.get(name, 1.0)
            if scale and (parameter.requires_grad or name in waiting):
                found.setdefault((scale, id(parameter) in kernels), []).append(parameter)
        return [
            Group(
                ("kernels" if decays else "others") + ("" if scale == 1.0 else f" x {scale:g}"),
                found[scale, decays],
                scale,
                decays,
            )
            for scale, decays in sorted(found, reverse=True)
        ]

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        """Freeze what does not train in the epoch after `clock`."""
        if self.finetune is not None:
            self.finetune.apply(model, clock)

    def on_valid(self, scores: Mapping[str, float], clock: Clock) -> None:
        """Take note of how each scale does."""
        if self.finetune is not None:
            self.finetune.record(scores, clock)

    def state_dict(self) -> dict[str, Any]:
        """Return which scales have stopped, and how the others do."""
        return {} if self.finetune is None else {"finetune": self.finetune.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if self.finetune is not None:
            self.finetune.load_state_dict(state["finetune"])


def round_to_8_bits(pictures: Tensor) -> Tensor:
    """Clamp pictures to 0..1 and round them to 8 bits a channel, as float32."""
    return torch.round(pictures.float().clamp(0.0, 1.0) * 255.0) / 255.0
