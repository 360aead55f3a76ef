"""Functions that are called in a child process: results, errors of ours, other ends."""

import sys

import pytest

from tunewright.errors import RunError, UsageError
from tunewright.runs.machine.child_process import call_in_child

HERE = "tunewright.recipes.registry:find_recipe"


@pytest.fixture(params=["child", "this process"])
def process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "child":
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "torch", sys)
    return str(request.param)


def test_the_result_is_returned(process: str) -> None:
    assert call_in_child("math:comb", 5, 2) == 10
    pid = call_in_child("os:getpid")
    assert (pid != call_in_child("os:getpid")) == (process == "child")


def test_an_error_of_ours_is_raised_again_with_its_parts(process: str) -> None:
    with pytest.raises(UsageError) as caught:
        call_in_child(HERE, "flower")
    assert "flower" in caught.value.came
    assert caught.value.remedy


def test_another_end_is_a_run_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(RunError, match=r"math:sqrt failed in a process of its own: ValueError"):
        call_in_child("math:sqrt", -1)
