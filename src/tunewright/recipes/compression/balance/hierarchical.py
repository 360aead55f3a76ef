"""The task of balance over the scales of HPCM: five tasks, with a gamma for each scale."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tunewright.recipes.compression.balance.hierarchy_config import HierarchicalConfig
from tunewright.recipes.compression.balance.scale_gamma import adapt, scale_gamma_at
from tunewright.recipes.compression.balance.task import FamoTask
from tunewright.recipes.compression.balance.task_weights import FamoWeights
from tunewright.recipes.compression.models.compressor import CodedLatents
from tunewright.recipes.compression.rate_distortion import SCALES, RateDistortion
from tunewright.training.task import Clock, Loss

SCALE_TASKS = ("s1_distortion", "s2_distortion", "s1_bpp", "s2_bpp", "s3_bpp")
"""See `RateDistortion.scale_tasks`; their names begin with their scale."""


class ScaledFamoWeights(FamoWeights):
    """FAMO's weights about given parts in place of equal ones: softmax(w + ln parts).

    parts: of the tasks, [n], which the decay of the logits w pulls the weights to.
    """

    def __init__(
        self, parts: Sequence[float], *, w_lr: float, device: torch.device | None = None
    ) -> None:
        super().__init__(len(parts), w_lr=w_lr, device=device)
        self._log_parts = torch.tensor(parts, dtype=torch.float64, device=device).log()

    @property
    def weights(self) -> Tensor:
        """The weights: [n], float64."""
        return (self.logits + self._log_parts).softmax(0)


class HierarchicalTask(FamoTask):
    """Weights of the five tasks of HPCM's scales, which add up to the loss."""

    remedy = (
        "Larger balance.gamma_s1, gamma_s2 and gamma_s3 pull the weights to "
        "balance.scale_weights; a smaller balance.w_lr helps as well."
    )
    scores_scales = True

    def __init__(
        self, criterion: RateDistortion, config: HierarchicalConfig, device: torch.device
    ) -> None:
        weights = ScaledFamoWeights(
            task_parts(config.scale_weights), w_lr=config.w_lr, device=device
        )
        firsts = dict(zip(SCALES, (config.gamma_s1, config.gamma_s2, config.gamma_s3), strict=True))
        super().__init__(
            criterion,
            weights,
            gamma=sum(firsts.values()) / len(firsts),
            every=config.every,
            tasks=SCALE_TASKS,
        )
        self.config, self.first_gammas = config, firsts
        self.scale_gammas: list[dict[str, float]] = []  # of the epochs until now
        self.scale_losses: dict[str, list[float]] = {scale: [] for scale in SCALES}

    def loss(self, model: nn.Module, batch: Tensor) -> Loss:
        """Compute the rate-distortion loss; the five tasks are terms of it, too."""
        coded: CodedLatents = model(batch)
        total, terms = self.criterion(coded, batch)
        tasks = {n: t.mean() for n, t in self.criterion.scale_tasks(coded, batch).items()}
        return Loss(total, {**terms, **tasks})

    def on_epoch(self, model: nn.Module, clock: Clock) -> None:
        """Set the gamma of each scale for the epoch after `clock`."""
        super().on_epoch(model, clock)
        del self.scale_gammas[clock.epoch :]
        self.scale_gammas.append({scale: self._next_gamma(scale, clock) for scale in SCALES})

    def _next_gamma(self, scale: str, clock: Clock) -> float:
        first, strategy = self.first_gammas[scale], self.config.strategy
        if strategy == "adaptive" and self.scale_gammas:
            before = self.scale_gammas[-1][scale]
            return adapt(before, first, self.scale_losses[scale], self.config.window)
        return scale_gamma_at(first, strategy, scale, clock.epoch / clock.epochs)

    def decay(self) -> Tensor:
        """Return the gamma of each task: [5], float64."""
        now = self.scale_gammas[-1]
        gammas = [now[task.partition("_")[0]] for task in self.tasks]
        return torch.tensor(gammas, dtype=torch.float64, device=self.task_weights.weights.device)

    def on_valid(self, scores: Mapping[str, float], clock: Clock) -> None:
        """Keep each scale's share of the validation loss, which `adaptive` looks at."""
        super().on_valid(scores, clock)
        for scale, losses in self.scale_losses.items():
            losses.append(scores[f"val_{scale}_loss"])

    def epoch_values(self, *, is_best: bool) -> Mapping[str, float]:
        """Return the gamma of each scale, and the weights of the tasks."""
        found = {k: v for k, v in super().epoch_values(is_best=is_best).items() if k != "gamma"}
        return {**{f"gamma_{scale}": g for scale, g in self.scale_gammas[-1].items()}, **found}

    def state_dict(self) -> dict[str, Any]:
        """Return also the history of the gammas and of the scales' losses."""
        return {
            **super().state_dict(),
            "scale_gammas": [dict(gammas) for gammas in self.scale_gammas],
            "scale_losses": {scale: list(losses) for scale, losses in self.scale_losses.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state)
        self.scale_gammas = [dict(gammas) for gammas in state["scale_gammas"]]
        self.scale_losses = {scale: list(losses) for scale, losses in state["scale_losses"].items()}


def task_parts(scale_weights: Sequence[float]) -> list[float]:
    """Return the part of each of `SCALE_TASKS`: its scale's, divided evenly; they add up to 1."""
    parts = dict(zip(SCALES, scale_weights, strict=True))
    owners = [task.partition("_")[0] for task in SCALE_TASKS]
    total = sum(scale_weights)
    return [parts[owner] / owners.count(owner) / total for owner in owners]
