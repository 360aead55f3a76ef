"""Write a checked space as our YAML, which reads back as the same space; read its domains."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.spaces.domain import Categorical, Domain, Float, Int
from tunewright.spaces.rules import AvoidRule, Condition, ForbidRule, Good, conditions
from tunewright.spaces.space import Parameter, Space, sort_parameters


def specification(space: Space) -> dict[str, Any]:
    """Return a checked space as our YAML, which reads back as the same space."""
    forbid = [_forbidden_fields(rule) for rule in space.forbid if not rule.name]
    left_out = any(rule.name for rule in space.forbid)  # listed under `avoid`
    return {
        "inherit": False,
        **({"define_by_run": True} if space.define_by_run else {}),
        "parameters": {
            p.path: domain_fields(p.domain) | _other_fields(p) for p in space.parameters
        },
        **({"forbid": forbid} if forbid else {}),
        **({"avoid": [_avoided_fields(rule) for rule in space.avoid]} if space.avoid else {}),
        **({"good": [_good_fields(one) for one in space.good]} if space.good else {}),
        **({"derived": dict(space.derived)} if space.derived else {}),
        **({"settings": {"space": {"avoid": "forbid"}}} if left_out else {}),
    }


def domain_fields(domain: Domain) -> dict[str, Any]:
    """Return a domain as our YAML writes it."""
    if isinstance(domain, Categorical):
        return {"type": "categorical", "choices": list(domain.choices)}
    kind = "int" if isinstance(domain, Int) else "float"
    fields: dict[str, Any] = {"type": kind, "low": domain.low, "high": domain.high}
    fields |= {"log": True} if domain.log else {}
    fields |= {"step": domain.step} if domain.step != (1 if kind == "int" else None) else {}
    return fields


def read_domain(fields: Mapping[str, Any]) -> Domain:
    """Return the domain that `domain_fields` wrote."""
    if fields["type"] == "categorical":
        return Categorical(tuple(fields["choices"]))
    log, step = bool(fields.get("log", False)), fields.get("step")
    if fields["type"] == "int":
        return Int(int(fields["low"]), int(fields["high"]), log, int(step or 1))
    return Float(
        float(fields["low"]), float(fields["high"]), log, None if step is None else float(step)
    )


def _other_fields(parameter: Parameter) -> dict[str, Any]:
    fields: dict[str, Any] = {}
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


def read_specification(fields: Mapping[str, Any], fixed: Mapping[str, Any]) -> Space:
    """Return the space that `specification` wrote, to draw from and to compare trials with.

    fixed: the flat configuration around it. It is taken as it is: whether a configuration accepts
    its values is checked by `build_space`, which a search uses.
    """
    parameters = {
        path: Parameter(
            path,
            read_domain(of),
            of.get("default"),
            conditions(of["when"], f"when of {path}") if of.get("when") else (),
        )
        for path, of in fields["parameters"].items()
    }
    forbid = tuple(
        ForbidRule(fits=rule["fits"])
        if set(rule) == {"fits"}
        else ForbidRule(conditions(rule, "forbid"))
        for rule in fields.get("forbid") or ()
    )
    return Space(sort_parameters(parameters), forbid, fields.get("derived") or {}, fixed)
