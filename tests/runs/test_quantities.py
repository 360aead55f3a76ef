"""Times and sizes as people write and read them."""

import pytest

from tunewright.runs.quantities import duration, seconds_of, size


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
    shown = [duration(s) for s in (0.0, 0.24, 9.96, 89.0, 600.0, 28_800.0, 432_000.0)]
    assert shown == ["0 s", "0.2 s", "10 s", "89 s", "10 min", "8.0 h", "5.0 days"]


def test_sizes_are_written_shortly() -> None:
    assert [size(n) for n in (12, 3_400, 62e6, 1.5e9)] == ["12 bytes", "3.4 KB", "62 MB", "1.5 GB"]
