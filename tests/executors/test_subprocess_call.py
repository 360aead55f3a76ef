"""One call in a process of its own: its value, its errors with their kind, its time."""

import os
import time
from collections.abc import Callable

import pytest

from tunewright.errors import ConfigError, RunError
from tunewright.executors.subprocess_call import call


def double(number: int) -> int:
    return 2 * number


def refuse() -> None:
    raise ConfigError("split 'tset'", expected="one of train, test")


def count(upto: int, say: Callable[[object], None]) -> int:
    for number in range(upto):
        say(number)
    return upto


def test_what_it_returns_comes_back() -> None:
    assert call(double, 21) == 42


def test_an_error_keeps_its_kind_so_that_the_exit_code_is_right() -> None:
    with pytest.raises(ConfigError, match="split 'tset': expected one of train, test"):
        call(refuse)


def test_a_process_that_dies_is_a_failed_run() -> None:
    with pytest.raises(RunError, match="ended with code 3"):
        call(os._exit, 3)


def test_a_call_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(RunError, match=r"took longer than 0\.2 s"):
        call(time.sleep, 600.0, seconds=0.2)
    assert time.monotonic() - began < 300.0


def test_what_it_says_on_its_way_is_heard_in_order() -> None:
    heard: list[object] = []
    assert call(count, 3, on_message=heard.append) == 3
    assert heard == [0, 1, 2]


def test_who_hears_may_end_it() -> None:
    def enough(_number: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(count, 3, on_message=enough)
