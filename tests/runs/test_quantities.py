"""Times and sizes as people write and read them."""

from collections.abc import Callable

import pytest

from tunewright.runs.quantities import (
    bytes_of,
    count_of,
    duration,
    milliseconds_of,
    seconds_of,
    size,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("45m", 2_700.0),
        ("45min", 2_700.0),
        ("8h", 28_800.0),
        ("1h30m", 5_400.0),
        ("1h 30m", 5_400.0),
        ("1.5h", 5_400.0),
        ("2d", 172_800.0),
        ("1d2h3m4s", 93_784.0),
    ],
)
def test_times_are_read(written: str | float, seconds: float) -> None:
    assert seconds_of(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "h", "8x", "30m1h", "-5", -5, 0, "0s", "1..5h", True, "8 o'clock"]
)
def test_what_is_no_time_is_refused(written: str | float) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        seconds_of(written)


def test_times_are_written_shortly() -> None:
    shown = [duration(s) for s in (0.0, 0.024, 0.24, 9.96, 89.0, 600.0, 28_800.0, 432_000.0)]
    assert shown == ["0 s", "24 ms", "0.2 s", "10 s", "89 s", "10 min", "8.0 h", "5.0 days"]


def test_sizes_are_written_shortly() -> None:
    assert [size(n) for n in (12, 3_400, 62e6, 1.5e9)] == ["12 bytes", "3.4 KB", "62 MB", "1.5 GB"]


@pytest.mark.parametrize(
    ("read", "written", "amount"),
    [
        (bytes_of, "500MB", 500e6),
        (bytes_of, "500 mb", 500e6),
        (bytes_of, "477MiB", 477 * 2**20),
        (bytes_of, "1.5GB", 1.5e9),
        (bytes_of, 2_000, 2_000.0),
        (bytes_of, "1_000", 1_000.0),
        (milliseconds_of, "100ms", 100.0),
        (milliseconds_of, "0.1s", 100.0),
        (milliseconds_of, 30, 30.0),
        (milliseconds_of, "1e-6", 1e-6),
        (count_of, "10B", 10e9),
        (count_of, "28M", 28e6),
        (count_of, 1e10, 1e10),
    ],
)
def test_limits_are_read(read: Callable[[str | float], float], written: str, amount: float) -> None:
    assert read(written) == pytest.approx(amount)


@pytest.mark.parametrize("written", ["", "MB", "-1MB", "0", "5 apples", "1e400", "nan", True])
def test_what_is_no_limit_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="500MB"):
        bytes_of(written)
