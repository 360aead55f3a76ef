"""Space files: our YAML and the guides' two dialects, read into one specification."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tunewright.config.optuna_names import KEYS
from tunewright.config.sources import Source, lines_of
from tunewright.config.tree import Tree, copy_tree, merge, set_leaf
from tunewright.errors import SpaceError, did_you_mean, quote
from tunewright.runs.atomic import read_yaml
from tunewright.runs.record import Direction
from tunewright.spaces.plain_values import plain_values

OURS = ("parameters", "forbid", "avoid", "good", "derived", "inherit", "settings")
OWN_KEYS = ("parameters", "forbid", "avoid", "good", "derived")
"""Keys that identify our space files; a file with rules only extends the recipe's space."""
LISTS = ("parameters", "search_space", "hyperparameters")
"""The keys of the three dialects that list parameters, which errors name alone."""
FIELDS = (
    "type",
    "choices",
    "low",
    "high",
    "log",
    "step",
    "default",
    "when",
    "fits",
    "shrink_to",
    "inert",
)
STUDY_BLOCK = {
    "name",
    "direction",
    "metric",
    "n_trials",
    "n_jobs",
    "timeout",
    "storage",
    "sampler",
    "pruner",
}


@dataclass(frozen=True)
class SpaceFile:
    """The content of a space file, before it is merged with the recipe's own space.

    parameters: raw fields by config path. settings: configuration that the file sets beside the
    space (study name, number of trials, fixed values), nested. inherit: whether parameters and
    fields that the file leaves out come from the recipe's space. base: the space that they come
    from in its place. where: file and line of each parameter. direction: of the goal, where the
    file names no metric. fixed: values for all trials, by path as parameters are. script: settings
    of the recipe `command`, for a file that says what it runs. notices: about entries that have no
    effect.
    """

    parameters: Mapping[str, Mapping[str, Any]]
    forbid: tuple[Any, ...] = ()
    avoid: tuple[Any, ...] = ()
    good: tuple[Any, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    settings: Tree = field(default_factory=dict)
    inherit: bool = True
    base: "SpaceFile | None" = None
    file: Path | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    direction: Direction | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    script: Tree = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def is_space_file(tree: Mapping[str, Any]) -> bool:
    """Return whether a YAML mapping is a space or study file, judged by its keys."""
    return any(key in tree for key in ("search_space", "hyperparameters", *OWN_KEYS))


def read_space(file: Path, aliases: Mapping[str, str] | None = None) -> SpaceFile:
    """Read a space file in any of the three dialects.

    aliases: flat names to config paths. Raises SpaceError that names the file and the key.
    """
    return parse_space(read_yaml(file), file, aliases or {})


def parse_space(
    tree: Mapping[str, Any], file: Path, aliases: Mapping[str, str] | None
) -> SpaceFile:
    """Return the specification in a mapping that was read from `file`, or that code made.

    aliases: flat names to config paths; None where the names are the user's own.
    """
    tree = {key: plain_values(v, "" if key in LISTS else str(key)) for key, v in tree.items()}
    if "search_space" in tree:
        top, spec = "search_space", _flat_study(tree, file)
    elif "hyperparameters" in tree:
        top, spec = "hyperparameters", _study_blocks(tree, file, aliases or {})
    elif any(key in tree for key in OWN_KEYS):
        top, spec = "parameters", _own(tree, file, aliases or {})
    else:
        raise SpaceError(
            f"{file} has the keys {', '.join(tree) or 'none'}",
            expected="`parameters:`, `search_space:` or `hyperparameters:` at the top",
        )
    return rename_parameters(spec, file, top, aliases)


def rename_parameters(
    spec: SpaceFile, file: Path, top: str, aliases: Mapping[str, str] | None
) -> SpaceFile:
    """Return the specification with our names, and with the line of each parameter.

    top: the key of the file that its parameters stand below. aliases: as for `parse_space`.
    """
    names = {} if aliases is None else {**KEYS, **aliases}
    lines = lines_of(file)
    renamed: dict[str, Mapping[str, Any]] = {}
    where: dict[str, str] = {}
    for name, fields in spec.parameters.items():
        path = names.get(name) or name
        source = str(Source(file, lines.get(f"{top}.{name}")))
        if path in renamed:
            raise SpaceError(
                f"{path} is listed twice",
                expected="one entry per parameter (some have two names)",
                where=f"{where[path]} and {source}",
            )
        renamed[path], where[path] = fields, source
    fixed = {names.get(name) or name: value for name, value in spec.fixed.items()}
    for path in fixed.keys() & renamed.keys():
        raise SpaceError(
            f"{path} is both searched and set",
            expected="one entry per parameter (some have two names)",
            where=where[path],
        )
    return replace(spec, parameters=renamed, fixed=fixed, file=file, where=where)


def _own(tree: Mapping[str, Any], file: Path, aliases: Mapping[str, str]) -> SpaceFile:
    for key in tree:
        if key not in OURS:
            raise SpaceError(
                f"{quote(key)} in {file}",
                expected=f"one of {', '.join(OURS)}",
                remedy=did_you_mean(key, OURS),
            )
    base = _base(tree.get("inherit"), file, aliases)
    settings = _section(tree, "settings", file)
    return SpaceFile(
        _parameters(tree["parameters"], file, "parameters") if "parameters" in tree else {},
        _list(tree, "forbid", file, "mappings from paths to values"),
        _list(tree, "avoid", file, "mappings with name, because and when"),
        _list(tree, "good", file, "mappings with name, because and set"),
        _section(tree, "derived", file),
        merge(base.settings, settings) if base is not None else settings,
        bool(tree.get("inherit", True)),
        base,
    )


def _base(inherit: Any, file: Path, aliases: Mapping[str, str]) -> SpaceFile | None:
    """Return the space that a file names to inherit from; None where it names none."""
    if not isinstance(inherit, str):
        return None
    base = read_space(file.parent / inherit, aliases)
    if base.inherit:
        raise SpaceError(
            f"inherit = {quote(inherit)} in {file}, which inherits from another space itself",
            expected="a complete space, with `inherit: false` in it",
            remedy="The space.yaml in the folder of a study is one.",
        )
    return base


def _flat_study(tree: Mapping[str, Any], file: Path) -> SpaceFile:
    """Read `search_space:` beside study_name, n_trials, n_jobs, storage, timeout, data, pruner."""
    settings: Tree = {}
    for key, value in tree.items():
        if key in ("pruner", "sampler"):
            set_leaf(settings, f"study.{key}", _component(str(key), value, file))
        elif key != "search_space" and value is not None:
            settings[key] = copy_tree(value) if isinstance(value, Mapping) else value
    return SpaceFile(_parameters(tree["search_space"], file, "search_space"), settings=settings)


def _study_blocks(tree: Mapping[str, Any], file: Path, aliases: Mapping[str, str]) -> SpaceFile:
    """Read `hyperparameters:` beside a `study:` and a `fixed:` block."""
    for key in tree:
        if key not in ("study", "hyperparameters", "fixed"):
            raise SpaceError(f"{quote(key)} in {file}", expected="study, hyperparameters or fixed")
    settings, study = _section(tree, "fixed", file), _section(tree, "study", file)
    notices = _unread(settings, study, file, aliases)
    for key, value in study.items():
        if key not in STUDY_BLOCK:
            raise SpaceError(
                f"study.{key} in {file}",
                expected=f"one of {', '.join(sorted(STUDY_BLOCK))}",
                remedy=did_you_mean(str(key), STUDY_BLOCK),
            )
        if key in ("pruner", "sampler"):
            set_leaf(settings, f"study.{key}", _component(str(key), value, file))
        elif key == "metric":
            settings["goal"] = str(value)
        elif (key, value) == ("n_jobs", -1):  # in Optuna: as many as there are cores
            continue
        elif key != "direction" and value is not None:
            set_leaf(settings, f"study.{_STUDY_KEYS.get(str(key), str(key))}", value)
    direction = None
    if study.get("direction") is not None:
        direction = _DIRECTIONS.get(str(study["direction"]))
        if direction is None:
            raise SpaceError(
                f"study.direction = {quote(study['direction'])} in {file}",
                expected="maximize or minimize",
            )
    if direction is not None and "goal" in settings:
        settings["goal"], direction = f"{settings['goal']}:{direction}", None
    parameters = _parameters(tree["hyperparameters"], file, "hyperparameters")
    return SpaceFile(parameters, settings=settings, direction=direction, notices=tuple(notices))


_STUDY_KEYS = {"n_trials": "trials", "n_jobs": "jobs"}
_DIRECTIONS: Mapping[str, Direction] = {"maximize": "max", "minimize": "min"}


def _unread(
    fixed: Tree, study: Mapping[str, Any], file: Path, aliases: Mapping[str, str]
) -> list[str]:
    """Remove from `fixed` the entries that are no settings of a training here; return notices.

    The name of the experiment is the study's where that has none.
    """
    notices = []
    if "device" in fixed and "device" not in aliases:
        notices.append(
            f"device = {fixed.pop('device')} in {file} is ignored: the executor assigns a "
            "device to each worker"
        )
    name = fixed.pop("experiment_name", None)
    if name is not None and study.get("name") is None:
        set_leaf(fixed, "study.name", str(name))
    elif name is not None and name != study["name"]:
        notices.append(
            f"experiment_name = {name} in {file} is ignored: the study is called {study['name']}"
        )
    return notices


def _section(tree: Mapping[str, Any], key: str, file: Path) -> Tree:
    """Return a section of the file, which may be missing or empty."""
    section = tree.get(key)
    if section is not None and not isinstance(section, Mapping):
        raise SpaceError(f"{key} = {quote(section)} in {file}", expected="a mapping (key: value)")
    return copy_tree(section or {})


def _list(tree: Mapping[str, Any], key: str, file: Path, of: str) -> tuple[Any, ...]:
    """Return a list of the file, which may be missing or empty; names must be unique."""
    found = tree.get(key) or []
    if not isinstance(found, list):
        raise SpaceError(f"{key} in {file}", expected=f"a list of {of}")
    names = [str(one["name"]) for one in found if isinstance(one, Mapping) and "name" in one]
    if key != "forbid" and len(set(names)) < len(names):
        raise SpaceError(f"{key} in {file} has a duplicate name", expected="unique names")
    return tuple(found)


def _component(key: str, value: Any, file: Path) -> Tree:
    """Return a sampler or pruner: a name, a mapping with `type`, or null for none."""
    if value is None:
        return {"type": "none"}
    if isinstance(value, str):
        return {"type": value}
    if not isinstance(value, Mapping):
        raise SpaceError(
            f"{key} = {quote(value)} in {file}", expected="a name, a mapping with `type`, or null"
        )
    return {k: ("none" if k == "type" and v is None else v) for k, v in value.items()}


def _parameters(raw: Any, file: Path, key: str) -> dict[str, dict[str, Any]]:
    if not isinstance(raw, Mapping):
        kind = "a YAML list" if isinstance(raw, list) else quote(raw)
        raise SpaceError(
            f"{key} in {file} is {kind}",
            expected="a mapping from parameter names to their domains",
            remedy="Write `lr: {type: float, low: 1e-5, high: 1e-2, log: true}` without a dash.",
        )
    if not raw:
        raise SpaceError(f"{key} in {file} is empty", expected="at least one parameter")
    parameters: dict[str, dict[str, Any]] = {}
    for path, fields in _by_path(raw).items():
        if not isinstance(fields, Mapping):
            raise SpaceError(
                f"{key}.{path} = {quote(fields)} in {file}",
                expected="a mapping with type, choices or low and high",
            )
        for name in fields:
            if name not in FIELDS:
                raise SpaceError(
                    f"{key}.{path} has {quote(name)} in {file}",
                    expected=f"one of {', '.join(FIELDS)}",
                    remedy=did_you_mean(str(name), FIELDS),
                )
        parameters[path] = dict(fields)
    return parameters


def _by_path(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten parameters that are nested like the configuration: `optim: {lr: {low: ...}}`."""
    found: dict[str, Any] = {}
    for key, value in raw.items():
        nested = (
            isinstance(value, Mapping)
            and value
            and not any(name in FIELDS and name != "type" for name in value)
            and all(isinstance(inner, Mapping) for inner in value.values())
        )
        path = f"{prefix}{key}"
        fresh = _by_path(value, f"{path}.") if nested else {path: value}
        for twice in found.keys() & fresh.keys():
            raise SpaceError(f"{twice} is listed twice", expected="one entry per parameter")
        found |= fresh
    return found
