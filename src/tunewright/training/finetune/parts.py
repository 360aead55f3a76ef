"""The parts of a network: how fast each learns, and until when it is frozen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import filter as matching

from torch import nn

from tunewright.config.components.part_rates import PartRates
from tunewright.errors import ConfigError, did_you_mean
from tunewright.training.task import Clock

Parts = Mapping[str, Sequence[str]]
"""The names of the parameters of each part."""
ROUNDING = 1e-9


def parts_of(model: nn.Module) -> Parts:
    """Return the parts of a model: those that its method `parts` returns, else its children.

    A parameter that the model itself holds is then a part of its own.
    """
    own = getattr(model, "parts", None)
    if callable(own):
        found: Parts = own()
        return found
    parts: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        parts.setdefault(name.partition(".")[0], []).append(name)
    return parts


@dataclass(frozen=True)
class PartPlan:
    """What `PartRates` mean for one model.

    scales: the factor on the learning rate of every parameter, by its name. thaws: of those that
    begin frozen, the fraction of the training after which they train.
    """

    parts: Parts
    scales: Mapping[str, float]
    thaws: Mapping[str, float]

    def frozen_at(self, clock: Clock) -> frozenset[str]:
        """Return the names of the parameters that are frozen in the epoch after `clock`."""
        done = clock.epoch / clock.epochs + ROUNDING
        waiting = {name for name, thaw in self.thaws.items() if done < thaw}
        return frozenset(waiting | {name for name, scale in self.scales.items() if scale == 0.0})

    def describe(self, model: nn.Module, frozen: Collection[str]) -> list[str]:
        """Return a table of the parts, with their sizes and what they learn at."""
        sizes = {name: p.numel() for name, p in model.named_parameters()}
        width = max(map(len, self.parts))
        lines = []
        for part, names in self.parts.items():
            for state, some in self._by_state(names, frozen).items():
                count = sum(sizes[name] for name in some)
                lines.append(
                    f"  {part:{width}}  {len(some):4} tensors  {count:12,} parameters  {state}"
                )
        return lines

    def _by_state(self, names: Sequence[str], frozen: Collection[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in names:
            if name not in frozen:
                state = f"optim.lr x {self.scales[name]:g}"
            elif self.scales[name] == 0.0 or name not in self.thaws:
                state = "frozen"
            else:
                state = f"frozen until {100 * self.thaws[name]:g} % of the run"
            found.setdefault(state, []).append(name)
        return found


def plan_parts(model: nn.Module, rates: PartRates, key: str = "finetune") -> PartPlan:
    """Return what the rates of a section mean for `model`.

    key: the path of the section, for messages. Raises ConfigError for a name that is neither a part
    nor matches a parameter, with the parts, and where nothing would be trained.
    """
    parts = parts_of(model)
    names = [name for members in parts.values() for name in members]
    scales = dict.fromkeys(names, 1.0)
    for pattern, scale in rates.lr_scales.items():
        found = _named(pattern, parts, f"{key}.lr_scales", scale)
        scales |= dict.fromkeys(found, scale)
    thaws: dict[str, float] = {}
    for pattern, thaw in rates.unfreeze.items():
        found = _named(pattern, parts, f"{key}.unfreeze", thaw)
        if thaw and not any(scales[name] for name in found):
            raise ConfigError(
                f"{key}.unfreeze.{pattern} = {thaw:g} with a factor of 0 in {key}.lr_scales",
                expected="a part that learns once it is set free",
                remedy=f"Take it out of {key}.unfreeze, or write {key}.lr_scales.{pattern}=0.1.",
            )
        thaws |= dict.fromkeys(found, thaw)
    plan = PartPlan(parts, scales, {name: thaw for name, thaw in thaws.items() if thaw})
    frozen = plan.frozen_at(Clock(0, 0, 1, 1))
    if frozen.issuperset(n for n, p in model.named_parameters() if p.requires_grad) and frozen:
        raise ConfigError(
            f"{key} freezes every part at first: {', '.join(parts)}",
            expected="a part that learns from the first epoch on",
            remedy=f"Take a part out of {key}.unfreeze or {key}.lr_scales.",
        )
    return plan


def _named(pattern: str, parts: Parts, key: str, value: float) -> Sequence[str]:
    """Return the names of the parameters that a part or a pattern stands for."""
    if pattern in parts:
        return parts[pattern]
    names = [name for members in parts.values() for name in members]
    found = [*matching(names, pattern), *(n for n in names if n.startswith(f"{pattern}."))]
    if not found:
        raise ConfigError(
            f"{key}.{pattern} = {value:g} matches no parameter of this model",
            expected=f"one of its parts, {', '.join(parts)}, or a pattern of names such as "
            f"{names[0].partition('.')[0]}*",
            remedy=did_you_mean(pattern, [*parts]) or f"Take it out with '~{key}.{pattern}'.",
        )
    return found
