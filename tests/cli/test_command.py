"""A signature stands once: what can be typed is read off the function of Python."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict, Unpack

import pytest
import typer
from typer.testing import CliRunner

import tunewright
from tunewright.cli import command as module
from tunewright.cli.command import JSON, Default, Switch, command, complete, option_names
from tunewright.cli.options import RUNS, RunsDir
from tunewright.result import Result


@dataclass(frozen=True)
class Called(Result):
    """What a function was called with."""

    words: tuple[Any, ...]
    options: Mapping[str, Any]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """An application without other commands."""
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)
    monkeypatch.setattr(module, "app", app)
    return app


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is handed to printers, which print it as JSON."""
    found: list[Any] = []

    def printer(named: str) -> Callable[[Any, Any], None]:
        return lambda _console, result: found.append((named, result))

    monkeypatch.setattr(module, "_printer", printer)
    return found


def typed(app: typer.Typer, *words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def run_it(
    first: Annotated[Path | str, typer.Argument(help="The first.")],
    *words: Annotated[str | Path, typer.Argument(metavar="[WORD]...", help="More words.")],
    many: Annotated[Sequence[str | Path], typer.Option("--with", help="Several.")] = (),
    size: Annotated[str | float | None, typer.Option(help="A size.")] = None,
    count: Annotated[int, typer.Option(help="A count.")] = 3,
    runs_dir: RunsDir = RUNS,
    goal: str | None = "nothing typed",
) -> Called:
    """Say what it was called with.

    The second paragraph is shown too.

    In Python, this one is shown alone.
    """
    options = {"with": many, "size": size, "count": count, "runs_dir": runs_dir, "goal": goal}
    return Called((first, *words), options)


def test_options_and_arguments_come_from_the_signature(
    app: typer.Typer, printed: list[Any]
) -> None:
    function = command("Panel", prints="a:b", switches=[JSON])(run_it)
    words = ("run-it", "one", "two", "--with", "x", "--with", "y", "--size", "5MB", "three")
    typed(app, *words)
    [(named, called)] = printed
    assert named == "a:b"
    assert called.words == (Path("one"), "two", "three")
    assert called.options == {
        "with": ["x", "y"],
        "size": "5MB",
        "count": 3,
        "runs_dir": RUNS,
        "goal": "nothing typed",
    }
    assert function("one").options["with"] == ()
    typed(app, "run-it", "one")
    assert printed[-1][1] == function(Path("one"))


def test_help_shows_what_can_be_typed_and_no_python(app: typer.Typer) -> None:
    command("Panel", prints="a:b", switches=[JSON])(run_it)
    shown = typed(app, "run-it", "--help")
    assert "Say what it was called with." in shown
    assert "The second paragraph is shown too." in shown
    assert "In Python" not in shown
    assert "--goal" not in shown
    names = ("--with", "--size", "--count", "--json", "--runs-dir", "--verbose")
    assert sorted(names, key=shown.index) == list(names)


def test_python_sees_plain_types(app: typer.Typer) -> None:
    function = command("Panel", prints="a:b")(run_it)
    assert "Annotated" not in str(inspect.signature(function))
    assert inspect.signature(function).parameters["size"].annotation == str | float | None
    assert option_names(function) == ["with", "size", "count", "runs-dir"]


def test_a_switch_prints_in_another_way_or_calls_another_function(
    app: typer.Typer, printed: list[Any]
) -> None:
    def other(first: Any, *, count: int = 0) -> Called:
        return Called((first,), {"other": count})

    instead = Switch("other", "Do another thing.", "c:d", call=other)
    command("Panel", prints="a:b", switches=[instead, JSON])(run_it)
    typed(app, "run-it", "one", "--count", "7", "--size", "1", "--other")
    typed(app, "run-it", "one", "--json")
    typed(app, "run-it", "one", "--json", "--count", "7", "--other")
    other_called = Called((Path("one"),), {"other": 7})
    assert printed[0] == ("c:d", other_called)
    assert printed[1] == (JSON.prints, run_it(Path("one")))
    assert printed[2] == (JSON.prints, other_called)


def test_a_result_that_fails_ends_with_1(app: typer.Typer, printed: list[Any]) -> None:
    command("Panel", prints="a:b", fails=lambda called: called.options["count"] > 5)(run_it)
    assert CliRunner().invoke(app, ["run-it", "one"]).exit_code == 0
    assert CliRunner().invoke(app, ["run-it", "one", "--count", "6"]).exit_code == 1


class Sizes(TypedDict, total=False):
    """What two commands share."""

    size: Annotated[float | None, typer.Option(help="A size.")]
    many: Annotated[Sequence[str], typer.Option("--with", help="Several."), Default(())]
    goal: "str | None"


def share_it(*words: Annotated[str, typer.Argument()], **options: Unpack[Sizes]) -> Called:
    """Say what it was called with."""
    return Called(words, complete(share_it, options))


def test_shared_options_are_parameters_like_the_others(
    app: typer.Typer, printed: list[Any]
) -> None:
    function = command("Panel", prints="a:b")(share_it)
    parameters = inspect.signature(function).parameters
    assert str(inspect.signature(function)) == (
        "(*words: str, size: float | None = None, many: collections.abc.Sequence[str] = (), "
        "goal: 'str | None' = None) -> tests.cli.test_command.Called"
    ).replace("tests.cli.test_command", Called.__module__)
    assert all(one.kind is one.KEYWORD_ONLY for one in list(parameters.values())[1:])
    assert option_names(function) == ["size", "with"]
    typed(app, "share-it", "one", "--size", "2.5", "--with", "x")
    assert printed == [("a:b", Called(("one",), {"size": 2.5, "many": ["x"], "goal": None}))]
    assert function("two").options == {"size": None, "many": (), "goal": None}
    assert function(goal="best").options["goal"] == "best"


def test_an_unknown_shared_option_is_refused(app: typer.Typer) -> None:
    function: Any = command("Panel")(share_it)
    with pytest.raises(TypeError, match=r"share_it\(\) got an unexpected .* 'siez'"):
        function(siez=1)
    with pytest.raises(TypeError, match="words"):
        function(words=1)


def test_tune_and_plan_share_their_options() -> None:
    of_plan, of_tune = (
        dict(inspect.signature(function).parameters)
        for function in (tunewright.plan, tunewright.tune)
    )
    assert set(of_tune) - set(of_plan) == {"detach", "resume", "retry_failed"}
    assert [of_tune[name] for name in of_plan] == list(of_plan.values())
    assert of_plan["runs_dir"].default == RUNS


@pytest.mark.parametrize("name", tunewright.__all__)
def test_every_public_function_names_its_type(name: str) -> None:
    returned = inspect.signature(getattr(tunewright, name)).return_annotation
    assert returned is None if name == "dashboard" else isinstance(returned, str)


def test_json_is_what_the_function_returns(tmp_path: Path) -> None:
    shown = CliRunner().invoke(tunewright.cli.app, ["models", "colornet", "--json"]).output
    assert json.loads(shown) == tunewright.models("colornet").as_json()
