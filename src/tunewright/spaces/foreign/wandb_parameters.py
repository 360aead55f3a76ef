"""One parameter of a sweep of Weights & Biases, by its distribution, as our fields.

The meaning of each distribution is that of `sweeps/params.py` in github.com/wandb/sweeps, which
draws the values of W&B's own sweeps.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from tunewright.errors import SpaceError, did_you_mean, quote
from tunewright.spaces.domain import as_written, is_number, same

FIELDS = ("value", "values", "min", "max", "q", "distribution", "probabilities", "mu", "sigma")
MORE_FIELDS = ("a", "b")
"""Fields of the beta distribution."""


class ReadParameter(NamedTuple):
    """What one parameter becomes: fields of a searched one, or one value for all trials.

    notice: what is otherwise than in W&B, and what its bounds mean; mostly empty.
    """

    fields: Mapping[str, Any] | None = None
    value: Any = None
    notice: str = ""


def read_wandb_parameter(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    """Return a parameter as ours.

    Raises SpaceError for fields that are unknown or missing, and by name for distributions that no
    sampler here draws from.
    """
    for key in raw:
        if key not in (*FIELDS, *MORE_FIELDS):
            raise SpaceError(
                f"{name} has {quote(key)}",
                expected=f"one of {', '.join(FIELDS)}",
                remedy=did_you_mean(str(key), FIELDS) or _below_parameters(name, key, raw[key]),
            )
    kind = raw.get("distribution") or _infer_distribution(name, raw)
    if kind in _UNBOUNDED:
        _refuse_unbounded(name, str(kind), raw)
    if kind not in _KINDS:
        raise SpaceError(
            f"{name}: distribution = {quote(kind)}",
            expected=f"one of {', '.join(_KINDS)}",
            remedy=did_you_mean(str(kind), _KINDS),
        )
    return _KINDS[kind](name, raw)


def _below_parameters(name: str, key: Any, inner: Any) -> str:
    """Return how a nested parameter is written, where `inner` looks like one."""
    if not isinstance(inner, Mapping) or not {*inner} & {*FIELDS, "parameters"}:
        return ""
    return f"Nested parameters stand below `parameters`: {name}: {{parameters: {{{key}: ...}}}}."


def _infer_distribution(name: str, raw: Mapping[str, Any]) -> str:
    """Return the distribution that W&B takes where none is named."""
    if "value" in raw:
        return "constant"
    if "values" in raw:
        return "categorical"
    if "min" in raw and "max" in raw:
        whole = all(isinstance(raw[key], int) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    if "mu" in raw or "sigma" in raw:
        return "normal"
    raise SpaceError(
        f"{name} has {', '.join(raw) or 'no fields'}", expected="value, values, or min and max"
    )


def _constant(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    if "value" not in raw:
        raise SpaceError(f"{name} is constant", expected="value")
    return ReadParameter(value=raw["value"])


def _categorical(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    values = raw.get("values")
    if not isinstance(values, list | tuple) or not values:
        raise SpaceError(f"{name}: values = {quote(values)}", expected="a list of values")
    once: list[Any] = []
    once += [v for i, v in enumerate(values) if not any(same(v, other) for other in values[:i])]
    notices = []
    if "probabilities" in raw:
        notices.append("its probabilities are not used, each value is as likely as the others")
    if len(once) < len(values):
        notices.append("values that stand twice count once")
    notice = f"{name}: {' and '.join(notices)}" if notices else ""
    if len(once) == 1:
        return ReadParameter(value=once[0], notice=notice)
    return ReadParameter({"choices": once}, notice=notice)


def _int_uniform(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    low, high = _bounds(name, raw)
    if low != int(low) or high != int(high):
        raise SpaceError(f"{name}: min = {low}, max = {high}", expected="whole numbers")
    return ReadParameter({"type": "int", "low": int(low), "high": int(high)})


def _uniform(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    low, high = _bounds(name, raw)
    return ReadParameter({"type": "float", "low": float(low), "high": float(high)})


def _q_uniform(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    """Read a range of which values are rounded to multiples of `q`; whole ones where `q` is."""
    low, high = _bounds(name, raw)
    step = _step(name, raw)
    first, last = math.ceil(_ratio(low, step)), math.floor(_ratio(high, step))
    if first > last:
        raise SpaceError(
            f"{name}: no multiple of q = {step} lies between {low} and {high}",
            expected="a smaller q",
        )
    bottom, top = (as_written(place * step) for place in (first, last))
    kind = "int" if isinstance(step, int) else "float"
    fields = {"type": kind, "low": bottom, "high": top, "step": step}
    moved = (bottom, top) != (low, high)
    notice = f"{name}: the multiples of q = {step}, from {bottom} to {top}" if moved else ""
    return ReadParameter(fields, notice=notice)


def _log_uniform(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    """Read a range whose bounds are natural exponents."""
    low, high = _bounds(name, raw)
    return _exponents(name, raw, low, high)


def _inv_log_uniform(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    """Read a range whose inverse has natural exponents as bounds."""
    low, high = _bounds(name, raw)
    return _exponents(name, raw, -high, -low)


def _exponents(name: str, raw: Mapping[str, Any], low: float, high: float) -> ReadParameter:
    try:
        bounds = as_written(math.exp(low)), as_written(math.exp(high))
    except OverflowError:
        raise SpaceError(
            f"{name}: max = {high} is an exponent, of a number that is too large",
            expected="natural exponents, such as min: -9.2, max: -2.3 for 1e-4 to 0.1",
            remedy="With the numbers themselves: distribution: log_uniform_values.",
        ) from None
    kind = raw["distribution"]
    notice = (
        f"{name}: from {bounds[0]:.4g} to {bounds[1]:.4g}, since the bounds of {kind} are natural "
        "exponents (log_uniform_values takes the numbers themselves)"
    )
    return ReadParameter(_log_fields(name, *bounds), notice=notice)


def _log_uniform_values(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    low, high = _bounds(name, raw)
    return ReadParameter(_log_fields(name, low, high))


def _q_log_uniform(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    _refuse_other_steps(name, raw)
    read = _log_uniform(name, raw)
    assert read.fields is not None
    whole = _whole_log(name, read.fields["low"], read.fields["high"])
    return ReadParameter(whole, notice=read.notice)


def _q_log_uniform_values(name: str, raw: Mapping[str, Any]) -> ReadParameter:
    _refuse_other_steps(name, raw)
    return ReadParameter(_whole_log(name, *_bounds(name, raw)))


def _log_fields(name: str, low: float, high: float) -> dict[str, Any]:
    if low <= 0:
        raise SpaceError(f"{name}: min = {low} on a log scale", expected="min > 0")
    return {"type": "float", "low": float(low), "high": float(high), "log": True}


def _whole_log(name: str, low: float, high: float) -> dict[str, Any]:
    """Return the fields of whole numbers on a log scale; W&B rounds its bounds in the same way."""
    whole = max(1, round(low)), round(high)
    if whole[0] > whole[1]:
        raise SpaceError(f"{name}: no whole number from {low:g} to {high:g}", expected="one")
    return {"type": "int", "low": whole[0], "high": whole[1], "log": True}


def _refuse_other_steps(name: str, raw: Mapping[str, Any]) -> None:
    if (step := _step(name, raw)) == 1:
        return
    low, high = _bounds(name, raw)
    if not raw["distribution"].endswith("_values") and high < 700:  # of math.exp
        low, high = math.exp(low), math.exp(high)
    values = [as_written(step * 2**k) for k in range(60) if low <= step * 2**k <= high][:8]
    if len(values) < 2 and math.isfinite(low / step):
        first = math.ceil(low / step)
        values = [as_written(step * k) for k in range(first, first + 8) if step * k <= high]
    raise SpaceError(
        f"{name}: distribution {raw['distribution']} with q = {step}",
        expected="q = 1, since no sampler here has both a log scale and steps",
        remedy=f"Write {f'the values, such as `values: {values}`, or ' if len(values) > 1 else ''}"
        "`distribution: log_uniform_values` without steps.",
    )


def _bounds(name: str, raw: Mapping[str, Any]) -> tuple[int | float, int | float]:
    low, high = raw.get("min"), raw.get("max")
    for key, value in (("min", low), ("max", high)):
        if not is_number(value) or not math.isfinite(value):
            raise SpaceError(f"{name}: {key} = {quote(value)}", expected="a number")
    assert is_number(low)
    assert is_number(high)
    if low > high:
        raise SpaceError(f"{name}: min = {low}, max = {high}", expected="min <= max")
    return low, high


def _step(name: str, raw: Mapping[str, Any]) -> int | float:
    step = raw.get("q", 1)
    if not is_number(step) or not step > 0 or not math.isfinite(step):
        raise SpaceError(f"{name}: q = {quote(step)}", expected="a number above 0")
    return step


def _ratio(bound: float, step: float) -> float:
    """Return a bound in steps, without the error of rounding: 0.3 has three of 0.1."""
    return as_written(bound / step)


def _refuse_unbounded(name: str, kind: str, raw: Mapping[str, Any]) -> NoReturn:
    mu, sigma = (raw.get(key, usual) for key, usual in (("mu", 0), ("sigma", 1)))
    shape = "log_uniform_values" if "log" in kind else "uniform"
    remedy = f"Give bounds: `distribution: {shape}` with min and max."
    if "beta" in kind:
        remedy = "Give bounds: `distribution: uniform, min: 0.0, max: 1.0` holds all its values."
    elif is_number(mu) and is_number(sigma) and sigma > 0:
        ends = [mu - 2 * sigma, mu + 2 * sigma]
        if "log" in kind:
            ends = [math.exp(end) for end in ends if abs(end) < 700]  # of math.exp
        remedy = (
            f"Give bounds: `distribution: {shape}, min: {ends[0]:.4g}, max: {ends[1]:.4g}` holds "
            "95 % of its values."
            if len(ends) == 2
            else remedy
        )
    raise SpaceError(
        f"{name}: distribution = {kind}",
        expected="one that has bounds, as every sampler here needs them",
        remedy=remedy,
    )


_KINDS: Mapping[str, Callable[[str, Mapping[str, Any]], ReadParameter]] = {
    "constant": _constant,
    "categorical": _categorical,
    "categorical_w_probabilities": _categorical,
    "int_uniform": _int_uniform,
    "uniform": _uniform,
    "q_uniform": _q_uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,
    "q_log_uniform": _q_log_uniform,
    "q_log_uniform_values": _q_log_uniform_values,
}
_UNBOUNDED = ("normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta")
