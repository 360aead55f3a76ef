"""Parameter groups for fine-tuning: layer-wise learning rates, and a frozen body at the start."""

from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import cast

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tunewright.classification.models.colornet import ColorNet
from tunewright.classification.models.config import FineTuneConfig
from tunewright.classification.models.image_classifier import ImageClassifier, head_modules
from tunewright.training.finetune import freezing
from tunewright.training.finetune.parts import plan_parts
from tunewright.training.task import Clock, Group


def groups(model: nn.Module, finetune: FineTuneConfig) -> list[Group]:
    """Return every parameter that is ever trained, in groups with a learning rate by depth.

    A layer learns `finetune.layer_decay` times as fast as the one above it, the head by
    `finetune.head_lr_scale`: with 0.8, the layer two below the head has 0.64 of the rate. Biases,
    norms and what the model exempts have no weight decay. Depths count all layers, so they do not
    change if some are frozen; parameters that `freeze` holds are in their group before they train.
    `finetune.lr_scales` multiply these rates; what they scale by 0 is in no group.
    Source: Bao et al., ICLR 2022 (BEiT).
    """
    depth = _depths(model)
    top = max(depth.values())
    head = _ids(head_modules(model))
    exempt = _no_decay_names(model)
    frozen, scales = freezing.frozen_for_now(model), plan_parts(model, finetune).scales
    found: dict[tuple[int, bool, bool, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if scales[name] and (parameter.requires_grad or name in frozen):
            decays = parameter.ndim >= 2 and not any(fnmatch(name, each) for each in exempt)
            in_head = id(parameter) in head
            layer = top if in_head or finetune.layer_decay is None else depth[name]
            found[layer, in_head, decays, scales[name]].append(parameter)
    decay = finetune.layer_decay if finetune.layer_decay is not None else 1.0
    return [
        Group(
            ("head" if in_head else f"layer {layer}")
            + ("" if decays else " without decay")
            + ("" if scale == 1.0 else f" x {scale:g}"),
            found[layer, in_head, decays, scale],
            decay ** (top - layer) * (finetune.head_lr_scale if in_head else 1.0) * scale,
            decays,
        )
        for layer, in_head, decays, scale in sorted(found)
    ]


def freeze(model: nn.Module, finetune: FineTuneConfig, clock: Clock) -> None:
    """Freeze all but the head in the first `freeze_epochs`, and parts until `unfreeze`.

    With `freeze_batch_norm`, batch norms of the body stay in evaluation mode all the time. Called
    by `Task.on_epoch`; see `training.finetune.freezing`. It depends on the clock alone, so resuming
    is exact; parameters frozen by others stay frozen.
    """
    frozen = plan_parts(model, finetune).frozen_at(clock)
    if clock.epoch < finetune.freeze_epochs:
        head = _ids(head_modules(model))
        frozen |= {name for name, p in model.named_parameters() if id(p) not in head}
    freezing.freeze(model, frozen)
    if finetune.freeze_batch_norm:
        for norm in _body_norms(model):
            norm.eval()


def freeze_batch_norm(model: nn.Module) -> int:
    """Take weights and biases of the body's batch norms out of the training; return their number.

    Call it before `groups`; `freeze` keeps their statistics. Together that is timm's
    `FrozenBatchNormAct2d`, with the names of the weights unchanged.
    """
    norms = _body_norms(model)
    for norm in norms:
        norm.requires_grad_(False)
    return len(norms)


def _body_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms outside of the head and the fusion, which begin untrained."""
    own = {module for head in head_modules(model) for module in head.modules()}
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m not in own]


def _depths(model: nn.Module) -> dict[str, int]:
    """Return how deep each parameter is, from 0 at the input; the head is deepest."""
    if not isinstance(model, ImageClassifier):
        from tunewright.classification.models.timm_models import depths

        return depths(model)
    if isinstance(model.backbone, ColorNet):
        found = {f"backbone.{name}": depth for name, depth in _stages(model.backbone)}
    else:
        from tunewright.classification.models.timm_models import depths

        inner = depths(cast(nn.Module, model.backbone.model))
        found = {f"backbone.model.{name}": depth for name, depth in inner.items()}
    top = 1 + max(found.values())
    return {name: found.get(name, top) for name, _ in model.named_parameters()}


def _stages(backbone: ColorNet) -> Iterator[tuple[str, int]]:
    """Yield parameters with their depth: 0 for the stem, 1 to 4 for the stages."""
    for name, _ in backbone.named_parameters():
        part, _, rest = name.partition(".")
        yield name, 0 if part == "stem" else 1 + int(rest.partition(".")[0])


def _no_decay_names(model: nn.Module) -> set[str]:
    """Return names, or patterns of them, that the model exempts from weight decay."""
    prefix = ""
    if isinstance(model, ImageClassifier):
        if isinstance(model.backbone, ColorNet):
            return set()
        model, prefix = cast(nn.Module, model.backbone.model), "backbone.model."
    from tunewright.classification.models.timm_models import no_decay_names

    return {prefix + name for name in no_decay_names(model)}


def _ids(modules: list[nn.Module]) -> set[int]:
    return {id(parameter) for module in modules for parameter in module.parameters()}
