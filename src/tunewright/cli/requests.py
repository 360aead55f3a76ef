"""Turns the arguments of a call into a request: words, files, and keywords for overrides."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tunewright.classification.inference.tta_views import NAMES, Views, read_views
from tunewright.cli.command import option_names
from tunewright.cli.options import RUNS
from tunewright.errors import UsageError
from tunewright.request import (
    FileArguments,
    ParsedRequest,
    parse_function_request,
    parse_request,
)

GivenSpace = Mapping[str, Any] | Path | str | None


class Configs(NamedTuple):
    """The options that name configuration files."""

    config: Path | str | None = None
    config_dir: Path | str | None = None
    config_name: str | None = None


def runs_of(request: ParsedRequest, given: Path | str) -> Path:
    """Return the folder of all runs, which a flag of a guide may set."""
    if request.runs is not None and Path(given) != RUNS:
        raise UsageError(f"{request.runs} and --runs-dir {given}", expected="one folder of runs")
    return request.runs or Path(given)


def request_of(
    command: Callable[..., Any],
    words: Sequence[Any],
    configs: Configs,
    space: GivenSpace = None,
    settings: Mapping[str, Any] | None = None,
    otherwise: Callable[[], FileArguments] | None = None,
) -> ParsedRequest:
    """Return the request that `command`, a function of this package, was called with.

    Raises as `request.parse_request` does, with the options of `command` as what was expected.
    """
    return parse_request(
        [str(word) for word in words],
        command=command.__name__.replace("_", "-"),
        options=option_names(command),
        settings=settings,
        config=path_of(configs.config),
        space=space if isinstance(space, Mapping) else path_of(space),
        config_dir=path_of(configs.config_dir),
        config_name=configs.config_name,
        otherwise=otherwise,
    )


def study_request(
    command: Callable[..., Any],
    words: Sequence[Any],
    configs: Configs,
    space: GivenSpace,
    settings: Mapping[str, Any],
    origin: str | None,
    runs_dir: Path | str,
) -> ParsedRequest:
    """Return the request for words or for a function; UsageError for keywords of the other.

    settings: values by config path; `training.epochs` may be set for a function only. origin: the
    study that `from_` names, whose configuration and space hold where no recipe or file is named.
    """
    if words and callable(words[0]):
        if any(given is not None for given in configs):
            raise UsageError("a function and a configuration file", expected="one of them")
        return parse_function_request(words, space, settings)
    if (steps := settings["training.epochs"]) is not None:
        raise UsageError(
            f"steps={steps} with a recipe", expected="training.epochs=... among the words"
        )
    files = partial(_files_of, origin, space, Path(runs_dir))
    return request_of(command, words, configs, space, settings, files)


def path_of(given: Path | str | None) -> Path | None:
    """Return a path that may be given as text."""
    return None if given is None else Path(given)


def run_and_views(
    run: Path | str | None, words: Sequence[str], *, tta: bool, views: str | Sequence[str]
) -> tuple[Path | str | None, Views]:
    """Return the run among the words, and the views: `tta.rotate=5`, or `rotate=5` for short."""
    if isinstance(run, str) and _is_view(run):
        words = (run, *words)
        run = None
    for word in words:
        if not _is_view(word):
            raise UsageError(
                f"{word!r}",
                expected="one run, then views: " + ", ".join(f"tta.{name}" for name in NAMES),
                remedy="The other settings of a run come from its training.",
            )
    return run, read_views(tta=tta, named=views, words=dict(word.split("=", 1) for word in words))


def run_pictures_and_views(
    run: Path | str | None,
    words: Sequence[Path | str],
    *,
    tta: bool,
    views: str | Sequence[str],
) -> tuple[Path | str | None, tuple[Path, ...], Views]:
    """Return the run, the single pictures and the views among the words.

    The first word is a picture, and the run the newest, where it has the suffix of a picture.
    Raises DataError for a picture that does not exist.
    """
    from tunewright.images.sources.picture_files import find_pictures, names_pictures
    from tunewright.runs.regular_files import exists

    if run is not None and names_pictures(str(run)):
        words, run = (run, *words), None
    pictures = [str(word) for word in words if names_pictures(str(word))]
    others = [str(word) for word in words if not names_pictures(str(word))]
    if places := [word for word in others if not _is_view(word) and exists(word)]:
        raise UsageError(
            f"{places[0]!r} beside the run",
            expected="pictures such as photo.jpg or 'photos/*.jpg', or views",
            remedy=f"A folder, zip or table is predicted with --data {places[0]}.",
        )
    run, chosen = run_and_views(run, others, tta=tta, views=views)
    return run, tuple(find_pictures(pictures)), chosen


def _is_view(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and (name.startswith("tta.") or name in NAMES)


def _files_of(study: str | None, space: GivenSpace, runs: Path) -> FileArguments:
    """Return the configuration and the space of a study, as if they had been typed."""
    if study is None:
        return FileArguments()
    from tunewright.search.transfer.sources import files_of

    trees, reserved = files_of(study, runs)
    return FileArguments(trees if space is None else trees[:1], reserved)
