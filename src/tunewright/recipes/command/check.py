"""Check a command before its first trial: its words, what they read, whether it can be started."""

import os
import shlex
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tunewright.config.tree import flatten, set_leaf
from tunewright.errors import ConfigError, did_you_mean, nearest_name, quote
from tunewright.recipes.command.config import CommandConfig
from tunewright.recipes.command.placeholders import (
    OTHERS,
    PARAMETERS,
    TrialValues,
    fill_shell,
    fill_words,
    places_in,
    read_parameters,
    unknown_places,
    uses,
)
from tunewright.recipes.recipe import UNKNOWN_EPOCHS
from tunewright.spaces.domain import Categorical, Int
from tunewright.spaces.space import Parameter, Space

SHOWN_DIR = Path("RUN_DIR")
"""What stands for the folder of a trial where the command of one is shown."""
READ_BYTES = 1 << 20
"""Bytes of a script that are searched for how it reads parameters."""
READS_ITSELF = (b"tunewright", b"TUNEWRIGHT", b"wandb")


def check_command(config: CommandConfig, space: Space | None) -> list[str]:
    """Return notices: what the first trial runs, and what may be meant otherwise.

    space: that is searched; None for a single run. Raises ConfigError for a command that is not
    there or cannot be started, placeholders that stand for nothing, parameters that nothing reads,
    and a metrics file that two trials would share.
    """
    if not config.command:
        raise ConfigError(
            "the recipe command without a command",
            expected="its words after --",
            remedy="For example: tunewright tune command --space space.yaml --goal "
            "val_accuracy:max -- python train.py --lr {lr}",
        )
    searched = [] if space is None else list(space.parameters)
    derived = () if space is None else tuple(space.derived)
    names = {*flatten(config.params), *config.params, *(p.path for p in searched), *derived}
    words = [*config.command, *config.env.values()]
    _check_words(words, names, config)
    must = {*(p.path for p in searched), *derived} if space else set(flatten(config.params))
    notices = _unread(config, words, names, must)
    first = _first_values(config, space)
    shown = _shown_command(config, first)
    _check_start(shown, config)
    what = "trial 0 runs" if space is not None else "runs"
    line = shown[2] if config.script.shell else shlex.join(shown)
    listed = [f"searched: {'; '.join(map(_describe_parameter, searched))}"] if searched else []
    return [
        *listed,
        f"{what}: {line}",
        *notices,
        *_forms(searched, config),
        *(_restarts(config, words) if space is not None else ()),
        _describe_score(config),
    ]


def _describe_parameter(parameter: Parameter) -> str:
    kind = {Categorical: "one of ", Int: "whole, "}.get(type(parameter.domain), "")
    return f"{parameter.path} {kind}{parameter.domain}"


def _describe_score(config: CommandConfig) -> str:
    goal, other = config.goals[0].partition(":")[0], {"best": "last", "last": "best"}
    score = config.metrics.score
    return (
        f"the score is the {score} {goal} that a run reports (metrics.score={other[score]} for "
        f"the {other[score]})"
    )


def _check_words(words: Sequence[str], names: Collection[str], config: CommandConfig) -> None:
    file = [config.metrics.file] if config.metrics.file else []
    for name in unknown_places([*words, *file], names):
        known = [*names, *PARAMETERS, *OTHERS]
        raise ConfigError(
            f"the placeholder {{{name}}} in the command",
            expected=f"a parameter ({', '.join(sorted(names)) or 'there is none'}) or one of "
            f"{', '.join([*OTHERS, *PARAMETERS])}",
            remedy=did_you_mean(name, known)
            or f"Braces that belong to the script are doubled: {{{{{name}}}}}.",
        )
    if uses(words, "epochs") and "epochs" not in names and config.training.epochs == UNKNOWN_EPOCHS:
        raise ConfigError(
            "{epochs} in the command, and training.epochs is not set",
            expected="how many epochs a trial trains",
            remedy="Add training.epochs=20, before the --.",
        )
    if uses(words, "program") and config.script.program is None:
        raise ConfigError(
            "{program} in the command, and script.program is not set", expected="script.program"
        )
    if any("\0" in word for word in words):
        raise ConfigError("a NUL character in the command", expected="text")
    if config.metrics.file and not uses([config.metrics.file], "run_dir"):
        raise ConfigError(
            f"metrics.file = {config.metrics.file}",
            expected="a file of each trial's own, since two trials would write the same one",
            remedy="Let the script write below {run_dir}, and set metrics.file={run_dir}/NAME.",
        )


def _unread(
    config: CommandConfig, words: Sequence[str], names: Collection[str], must: Collection[str]
) -> list[str]:
    """Return a notice where only the script itself can read the parameters.

    Raises ConfigError for parameters that the command leaves out while it has others.
    """
    read = read_parameters(words, names)
    missing = [n for n in sorted(must) if not any(_within(n, one) for one in read)]
    if not missing or _reads_itself(config.command):
        return []
    if read:
        near = nearest_name(missing[0], [n for n in names if n not in missing])
        instead = f" in place of {{{near}}}" if near and near not in must else ""
        raise ConfigError(
            f"nothing reads {', '.join(missing)}: the command contains {', '.join(sorted(read))}",
            expected="each parameter in the command, in --env, or read by the script itself",
            remedy=f"Add {{{missing[0]}}}{instead} to the command, or take it out of the space.",
        )
    listed = ", ".join(missing)
    return [
        f"the command contains none of the parameters ({listed}): the script has to read them "
        "itself, with tunewright.client or wandb.config"
    ]


def _restarts(config: CommandConfig, words: Sequence[str]) -> list[str]:
    """Return what pauses cost a script that keeps no state, as far as its files tell."""
    if config.study.sampler.type != "curves" or any("{run_dir}" in word for word in words):
        return []
    if _speaks_of(words, (b"tunewright",)):
        return []
    return [
        "the script keeps nothing in tw.checkpoint_dir() or {run_dir}, as far as can be seen: a "
        "trial that goes on from a rung begins again, and a short script may be past its rung "
        "before it is stopped. That costs little where a whole run is cheap; else keep its state, "
        "or use study.sampler.type=tpe"
    ]


def _within(name: str, read: str) -> bool:
    return name == read or name.startswith(f"{read}.")


def _reads_itself(words: Sequence[str]) -> bool:
    """Return whether a file of the command speaks of the client, or of W&B."""
    return _speaks_of(words, READS_ITSELF)


def _speaks_of(words: Sequence[str], names: Sequence[bytes]) -> bool:
    """Return whether a file among the words holds one of some names."""
    for word in words:
        try:
            with Path(word).open("rb") as stream:
                text = stream.read(READ_BYTES)
        except (OSError, ValueError):
            continue
        if any(name in text for name in names):
            return True
    return False


def _first_values(config: CommandConfig, space: Space | None) -> TrialValues:
    params: dict[str, Any] = dict(config.params)
    if space is not None:
        for path, value in space.complete(space.default() or space.point({})).items():
            set_leaf(params, path, value)
    program = config.script.program
    return TrialValues(params, config.seed, config.training.epochs, SHOWN_DIR, None, program)


def _shown_command(config: CommandConfig, first: TrialValues) -> list[str]:
    if config.script.shell:
        return ["/bin/sh", "-c", fill_shell(" ".join(config.command), first, shlex.quote)]
    words = fill_words(config.command, first)
    if not words or not words[0]:
        raise ConfigError(
            f"the command {quote(list(config.command))}",
            expected="a program as its first word",
        )
    return words


def _check_start(words: Sequence[str], config: CommandConfig) -> None:
    """Raise ConfigError where the program, or the script that it is given, cannot be run."""
    directory = Path(config.script.directory or ".")
    if not directory.is_dir():
        raise ConfigError(f"script.directory = {directory}", expected="a folder that exists")
    program = words[0]
    path = config.env.get("PATH") or os.environ.get("PATH", os.defpath)
    found = directory / program if "/" in program else shutil.which(program, path=path)
    script = _script_of(words, directory)
    if found is None:
        raise ConfigError(
            f"the program {quote(program)} of the command",
            expected="a program on the PATH, or a path with a slash",
            remedy=f"Write {_with_interpreter(program)}."
            if (directory / program).is_file()
            else did_you_mean(program, ("python", "python3", "bash", "sh", "torchrun", "env")),
        )
    if not Path(found).exists():
        raise ConfigError(f"the program {quote(program)} of the command", expected="a file")
    if Path(found).is_dir() or not os.access(found, os.X_OK):
        raise ConfigError(
            f"the program {quote(program)} of the command cannot be executed",
            expected="a file with the permission to execute",
            remedy=f"chmod +x {shlex.quote(program)}, or write {_with_interpreter(program)}.",
        )
    if script is not None and not script.is_file():
        near = nearest_name(script.name, _names_in(script.parent))
        raise ConfigError(
            f"the script {quote(str(script))} does not exist",
            expected=f"a file in {directory.absolute()}",
            remedy=f"Did you mean {near!r}?" if near else "",
        )


def _names_in(folder: Path) -> list[str]:
    try:
        return [file.name for file in folder.iterdir()]
    except OSError:
        return []


def _with_interpreter(program: str) -> str:
    return f"{'python' if program.endswith('.py') else 'sh'} {shlex.quote(program)}"


def _script_of(words: Sequence[str], directory: Path) -> Path | None:
    """Return the script that an interpreter is given: `train.py` in `python train.py`."""
    if len(words) < 2 or not Path(words[0]).name.startswith(("python", "torchrun", "bash", "sh")):
        return None
    name = words[1]
    return directory / name if Path(name).suffix in (".py", ".sh") else None


def _forms(searched: Sequence[Parameter], config: CommandConfig) -> list[str]:
    """Return notices about values that a script may take for something else."""
    notices = []
    lone = {
        place.name
        for word in config.command
        for place in places_in(word, {p.path for p in searched})
        if place.yes is None and (place.start, place.end) == (0, len(word))
    }
    for parameter in searched:
        domain = parameter.domain
        if not isinstance(domain, Categorical):
            continue
        name, choices = parameter.path, domain.choices
        switch = any(f"{{{name}?" in word for word in config.command)
        if any(isinstance(choice, bool) for choice in choices) and not switch and _plain(config):
            notices.append(
                f"{name} is passed as True or False; for a switch write "
                f"{{{name}?--{name}}} or {{{name}?--{name}:--no-{name}}}"
            )
        if name in lone and any(_like_option(choice) for choice in choices):
            notices.append(
                f"a choice of {name} begins with a dash, which the script may take for an option; "
                f"--{name}={{{name}}} is one word"
            )
    return notices


def _plain(config: CommandConfig) -> bool:
    return not uses(config.command, "args_no_boolean_flags")


def _like_option(choice: object) -> bool:
    return isinstance(choice, str) and choice.startswith("-")
