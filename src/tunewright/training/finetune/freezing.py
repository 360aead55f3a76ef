"""Freeze parameters for a while: they do not move, and neither do the statistics beside them."""

from collections.abc import Collection, Iterator

from torch import nn

FROZEN = "_frozen_for_now"
"""Attribute of a model with the names of the parameters that `freeze` froze."""


def frozen_for_now(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that `freeze` froze, and that may train again."""
    found: frozenset[str] = getattr(model, FROZEN, frozenset())
    return found


def freeze(model: nn.Module, names: Collection[str]) -> None:
    """Freeze the parameters `names`, and set those free that an earlier call froze.

    Modules with frozen parameters only are in evaluation mode: no dropout, no stochastic depth, and
    batch norms keep their statistics. Parameters that others froze stay frozen. Called by
    `Task.on_epoch`, with names that are a function of the clock and the task's state.
    """
    before = frozen_for_now(model)
    named = dict(model.named_parameters())
    now = frozenset(n for n in names if named[n].requires_grad or n in before)
    if before - now:
        for module in _modules_of(model, {id(named[n]) for n in before}):
            module.train(model.training)
    for name in before - now:
        named[name].requires_grad_(True)
    for name in now:
        named[name].requires_grad_(False)
    if names:
        for module in _modules_of(model, {id(named[n]) for n in names}):
            module.eval()
    setattr(model, FROZEN, now)


def _modules_of(model: nn.Module, frozen: set[int]) -> Iterator[nn.Module]:
    """Yield the largest modules with weights or statistics, and no parameter beyond `frozen`."""
    for child in model.children():
        own = {id(parameter) for parameter in child.parameters()}
        if not own - frozen:
            if own or any(True for _ in child.buffers()):
                yield child
        elif own & frozen:
            yield from _modules_of(child, frozen)
