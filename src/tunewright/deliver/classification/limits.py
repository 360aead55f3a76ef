"""Limits on what is delivered: bytes, milliseconds, parameters. Defaults: the flower guide's."""

from collections.abc import Callable
from dataclasses import dataclass

from tunewright.errors import UsageError
from tunewright.runs.quantities import bytes_of, count_of, milliseconds_of

MAX_SIZE, MAX_LATENCY, MAX_PARAMS = "500MB", "100ms", "10B"
INPUT = 600
"""Side of the pictures, in pixels."""


@dataclass(frozen=True)
class Limits:
    """The most that an exported file, the latency of one picture, and a model may take."""

    bytes: float
    milliseconds: float
    parameters: float


def read_limits(
    max_size: str | float = MAX_SIZE,
    max_latency: str | float = MAX_LATENCY,
    max_params: str | float = MAX_PARAMS,
) -> Limits:
    """Read limits such as `500MB`, `100ms` and `10B`; raises UsageError for what is none."""
    return Limits(
        _read("--max-size", bytes_of, max_size),
        _read("--max-latency", milliseconds_of, max_latency),
        _read("--max-params", count_of, max_params),
    )


def _read(option: str, read: Callable[[str | float], float], written: str | float) -> float:
    try:
        return read(written)
    except ValueError as error:
        raise UsageError(f"{option} {written}", expected=str(error)) from None
