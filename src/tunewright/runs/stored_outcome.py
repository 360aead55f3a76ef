"""Read an `outcome.json`, also one of a later version or one that was damaged."""

import math
from collections.abc import Mapping
from typing import Any, get_args

from tunewright.runs.record import Cause, Outcome, OutcomeState


def read_stored_outcome(stored: Mapping[str, Any]) -> Outcome | None:
    """Return the outcome in an `outcome.json`; None where it does not tell how the run ended.

    Fields of a later version are left out, and so are values of another type.
    """
    state: Any = stored.get("state")
    cause: Any = stored.get("cause")
    attempt, metrics, interval = (stored.get(key) for key in ("attempt", "metrics", "interval"))
    if state not in get_args(OutcomeState) or not isinstance(attempt, int):
        return None
    if not isinstance(metrics, Mapping):
        return None
    best_step, notes, attributes = (stored.get(k) for k in ("best_step", "notes", "attributes"))
    bounds = [b for b in interval if _is_number(b)] if isinstance(interval, list) else []
    return Outcome(
        state=state,
        attempt=attempt,
        cause=cause if cause in get_args(Cause) else "error" if state == "failed" else "",
        reason=str(stored.get("reason") or ""),
        best_step=best_step if isinstance(best_step, int) else None,
        metrics=_numbers(metrics),
        seconds=_number(stored.get("seconds")),
        interval=(bounds[0], bounds[1]) if len(bounds) == 2 else None,
        costs=_numbers(stored.get("costs")),
        memory_mib=_number(stored.get("memory_mib")),
        device_mib=_number(stored.get("device_mib")),
        idle_mib=_number(stored.get("idle_mib")),
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
        attributes=attributes if isinstance(attributes, dict) else {},
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _number(value: Any) -> float:
    return value if _is_number(value) else 0.0


def _numbers(values: Any) -> dict[str, float]:
    named = values if isinstance(values, Mapping) else {}
    return {name: value for name, value in named.items() if _is_number(value)}
