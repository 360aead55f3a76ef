"""Write a checked space as our YAML, which reads back as the same space."""

from collections.abc import Sequence
from typing import Any

from tunewright.spaces.domain import Categorical, Int
from tunewright.spaces.rules import AvoidRule, Condition, ForbidRule, Good
from tunewright.spaces.space import Parameter, Space


def specification(space: Space) -> dict[str, Any]:
    """Return a checked space as our YAML, which reads back as the same space."""
    forbid = [_forbidden_fields(rule) for rule in space.forbid if not rule.name]
    left_out = any(rule.name for rule in space.forbid)  # listed under `avoid`
    return {
        "inherit": False,
        "parameters": {p.path: _fields(p) for p in space.parameters},
        **({"forbid": forbid} if forbid else {}),
        **({"avoid": [_avoided_fields(rule) for rule in space.avoid]} if space.avoid else {}),
        **({"good": [_good_fields(one) for one in space.good]} if space.good else {}),
        **({"derived": dict(space.derived)} if space.derived else {}),
        **({"settings": {"space": {"avoid": "forbid"}}} if left_out else {}),
    }


def _fields(parameter: Parameter) -> dict[str, Any]:
    domain = parameter.domain
    if isinstance(domain, Categorical):
        fields: dict[str, Any] = {"type": "categorical", "choices": list(domain.choices)}
    else:
        kind = "int" if isinstance(domain, Int) else "float"
        fields = {"type": kind, "low": domain.low, "high": domain.high}
        fields |= {"log": True} if domain.log else {}
        fields |= {"step": domain.step} if domain.step != (1 if kind == "int" else None) else {}
    if parameter.default is not None:
        fields["default"] = parameter.default
    if parameter.when:
        fields["when"] = _conditions(parameter.when)
    return fields


def _forbidden_fields(rule: ForbidRule) -> dict[str, Any]:
    if rule.fits:
        return {"fits": rule.fits}
    return _conditions(rule.conditions)


def _avoided_fields(rule: AvoidRule) -> dict[str, Any]:
    return {"name": rule.name, "because": rule.because, "when": _conditions(rule.conditions)}


def _good_fields(good: Good) -> dict[str, Any]:
    return {"name": good.name, "because": good.because, "set": dict(good.values)}


def _conditions(found: Sequence[Condition]) -> dict[str, Any]:
    return {c.path: dict(c.bounds) if c.bounds is not None else list(c.among) for c in found}
