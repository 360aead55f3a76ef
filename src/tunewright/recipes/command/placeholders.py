"""Placeholders in the words of a command: what they are, and what a trial puts in their place.

`{lr}` is the parameter `lr`, `{augment?--augment}` a word that is there where `augment` is true,
and `{{lr}}` is the text `{lr}`. Other braces, as in `{"a": 1}`, belong to the script.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.config.overrides import quote_override
from tunewright.config.tree import flatten, get
from tunewright.errors import ConfigError, UsageError, did_you_mean
from tunewright.runs.atomic import write_yaml

PARAMETERS = (
    "args",
    "args_no_hyphens",
    "args_no_boolean_flags",
    "args_json",
    "args_json_file",
    "overrides",
    "params_json",
    "params_yaml",
)
"""Placeholders that stand for all parameters."""
OTHERS = ("run_dir", "seed", "epochs", "env", "interpreter", "program")
MACRO = re.compile(r"\$\{([^{}]*)\}")
"""A placeholder as W&B's sweep files write it: `${args}`."""

_PLACE = re.compile(r"\{\{(?P<literal>[^{}]*)\}\}|(?<!\$)\{(?P<inner>[^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][\w.]*\Z")


@dataclass(frozen=True)
class TrialValues:
    """What a trial puts in the place of placeholders.

    params: nested, as the configuration has them. files: the folder for files of parameters; None
    to show a command, for which none are written.
    """

    params: Mapping[str, Any]
    seed: int
    epochs: int
    run_dir: Path
    files: Path | None
    program: str | None = None

    @property
    def flat(self) -> Mapping[str, Any]:
        """The parameters by their path."""
        return flatten(self.params)


@dataclass(frozen=True)
class Place:
    """One placeholder in a word. yes, no: the words of a switch, where it is one."""

    name: str
    start: int
    end: int
    yes: str | None = None
    no: str = ""


def translate_macros(words: Sequence[str]) -> list[str]:
    """Return the words with W&B's macros as placeholders: `${args}` as `{args}`.

    Raises ConfigError for a macro that is not known.
    """
    return [MACRO.sub(_translate_macro, word) for word in words]


def read_environment(given: Sequence[str]) -> dict[str, str]:
    """Return variables written `NAME=VALUE`; raises UsageError for one that is not."""
    variables = {}
    for written in given:
        name, equals, value = written.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UsageError(f"--env {written}", expected="NAME=VALUE, such as LR={lr}")
        [variables[name]] = translate_macros([value])
    return variables


def _translate_macro(found: re.Match[str]) -> str:
    name = found[1]
    known = [*PARAMETERS, *OTHERS]
    if name not in known:
        raise ConfigError(
            f"the macro {found[0]} in the command",
            expected=f"one of {', '.join(f'${{{one}}}' for one in known)}",
            remedy=did_you_mean(name, known)
            or f"A parameter is written {{{name}}}; a variable of the shell ${name}.",
        )
    return f"{{{name}}}"


def places_in(word: str, parameters: Collection[str]) -> Iterator[Place]:
    """Yield the placeholders of a word, those that do not exist included.

    parameters: their names. What cannot be a name, such as `{"a": 1}`, is none.
    """
    for found in _PLACE.finditer(word):
        inner = found["inner"]
        if inner is None:
            continue
        name, switch, words = inner.partition("?")
        if inner in parameters:
            yield Place(inner, *found.span())
        elif switch and (name in parameters or _NAME.match(name)):
            yes, _, no = words.partition(":")
            yield Place(name, *found.span(), yes=yes, no=no)
        elif _NAME.match(inner):
            yield Place(inner, *found.span())


def unknown_places(words: Sequence[str], parameters: Collection[str]) -> list[str]:
    """Return the names of placeholders that stand for nothing."""
    known = {*parameters, *PARAMETERS, *OTHERS}
    names = [place.name for word in words for place in places_in(word, parameters)]
    return [name for name in dict.fromkeys(names) if name not in known]


def read_parameters(words: Sequence[str], parameters: Collection[str]) -> set[str]:
    """Return the parameters that the words contain."""
    names = {place.name for word in words for place in places_in(word, parameters)}
    return set(parameters) if names & set(PARAMETERS) - set(parameters) else names & {*parameters}


def uses(words: Sequence[str], name: str) -> bool:
    """Return whether the words contain the placeholder `name`."""
    return any(place.name == name for word in words for place in places_in(word, ()))


def fill_words(words: Sequence[str], values: TrialValues) -> list[str]:
    """Return the words of a trial's command.

    A word whose parameter the trial does not have is left out, and with it the option before it:
    `--momentum {momentum}`. Raises ConfigError for a placeholder that stands for nothing.
    """
    filled: list[str] = []
    for at, word in enumerate(words):
        found = _fill_word(word, values)
        if found is not None:
            filled += found
        elif at and filled and filled[-1] == words[at - 1] and _is_option(words[at - 1]):
            filled.pop()
    return filled


def fill_text(text: str, values: TrialValues) -> str:
    """Return a text, such as a path, with its placeholders filled; empty where a value is none."""
    return " ".join(_fill_word(text, values) or [])


def fill_shell(line: str, values: TrialValues, quote: Callable[[str], str]) -> str:
    """Return a line for a shell: each value is quoted."""
    parts, at = [], 0
    for place in places_in(line, values.flat):
        parts += [line[at : place.start], " ".join(map(quote, _words_of(place, values) or [""]))]
        at = place.end
    return _plain("".join([*parts, line[at:]]))


def as_text(value: object) -> str:
    """Return a value as a script reads it: `0.001`, `True`, JSON for lists and mappings."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value)
    return repr(value)


def _is_option(word: str) -> bool:
    return word.startswith("-") and "=" not in word and not _PLACE.search(word)


def _fill_word(word: str, values: TrialValues) -> list[str] | None:
    """Return the words that one word becomes; None where its parameter is not in the trial."""
    places = list(places_in(word, values.flat))
    if len(places) == 1 and (places[0].start, places[0].end) == (0, len(word)):
        return _words_of(places[0], values)
    parts, at = [], 0
    for place in places:
        found = _words_of(place, values)
        if found is None:
            return None
        parts += [_plain(word[at : place.start]), " ".join(found)]
        at = place.end
    return ["".join([*parts, _plain(word[at:])])]


def _plain(text: str) -> str:
    return _PLACE.sub(lambda f: f[0] if f["literal"] is None else f"{{{f['literal']}}}", text)


def _words_of(place: Place, values: TrialValues) -> list[str] | None:
    flat, name = values.flat, place.name
    missing = object()
    value = flat.get(name, get(values.params, name, missing))
    if value is not missing and place.yes is not None:
        return _words_of_switch(place, value)
    if value is not missing:
        return [as_text(value)]
    if name in _ALL:
        return _ALL[name](flat)
    if name in ("params_json", "args_json_file", "params_yaml"):
        return [str(_write_parameters(values, "yaml" if name == "params_yaml" else "json"))]
    others = {
        "run_dir": str(values.run_dir),
        "seed": str(values.seed),
        "epochs": str(values.epochs),
        "env": "/usr/bin/env",
        "interpreter": "python",
        "program": values.program,
    }
    return None if others.get(name) is None else [str(others[name])]


def _write_parameters(values: TrialValues, kind: str) -> Path:
    """Write the parameters into a file of the trial; return its name."""
    if values.files is None:
        return values.run_dir.with_name(f"params.{kind}")
    file = values.files / f"params.{kind}"
    if kind == "yaml":
        write_yaml(file, values.params)
    else:
        file.write_text(json.dumps(values.params, indent=2), encoding="utf-8")
    return file


def _words_of_switch(place: Place, value: object) -> list[str]:
    if not isinstance(value, bool):
        raise ConfigError(
            f"{{{place.name}?{place.yes}}} in the command, and {place.name} is {value!r}",
            expected="a parameter that is true or false",
            remedy=f"Write {{{place.name}}}.",
        )
    word = place.yes if value else place.no
    return [word] if word else []


def _flags(flat: Mapping[str, Any]) -> list[str]:
    words = []
    for name, value in flat.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not False:
            words += _arguments({name: value}, "--")
    return words


def _arguments(flat: Mapping[str, Any], hyphens: str) -> list[str]:
    """Return `--name=value` for each value; for null none, so that the script's default holds."""
    given = {name: value for name, value in flat.items() if value is not None}
    return [f"{hyphens}{name}={as_text(value)}" for name, value in given.items()]


_ALL: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "args": lambda flat: _arguments(flat, "--"),
    "args_no_hyphens": lambda flat: _arguments(flat, ""),
    "args_no_boolean_flags": _flags,
    "args_json": lambda flat: [json.dumps(dict(flat))],
    "overrides": lambda flat: [f"{name}={_override_text(value)}" for name, value in flat.items()],
}


def _override_text(value: object) -> str:
    """Return a value by Hydra's grammar; a plain word without quotes, as one types it."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./:-]*", value):
        return value
    return quote_override(value)
