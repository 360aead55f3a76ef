"""Configurations composed by Hydra's grammar from YAML groups, a file and overrides.

The one door to Hydra. Order, later wins: the recipe's groups, the user's file, overrides.
Hydra lets unknown keys in group files pass, so the whole tree is checked afterwards
(`config.check`), with the place each value came from.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tunewright.config.check import checked
from tunewright.config.leaves import without_foreign_keys
from tunewright.config.schema import RunConfig
from tunewright.config.sources import Source, source_of, sources_in
from tunewright.config.tree import Tree, drop, flatten, get, merged, put
from tunewright.errors import ConfigError, UsageError, did_you_mean
from tunewright.runs.atomic import read_yaml

SHARED = Path(__file__).parent / "conf"


class Configurable(Protocol):
    """What composing needs to know of a recipe.

    conf: its folder of YAML groups, with `<name>.yaml` as the top. aliases: flat or foreign
    names to config paths. words: for a path, foreign values to ours.
    """

    @property
    def name(self) -> str:
        """The recipe's name."""
        ...

    @property
    def config(self) -> type[RunConfig]:
        """Its schema."""
        ...

    @property
    def conf(self) -> Path:
        """Its YAML groups."""
        ...

    @property
    def aliases(self) -> Mapping[str, str]:
        """Foreign keys."""
        ...

    @property
    def words(self) -> Mapping[str, Mapping[str, str]]:
        """Foreign values."""
        ...


class Layer(NamedTuple):
    """A file of settings and the mapping that was read from it."""

    file: Path
    tree: Mapping[str, Any]


@dataclass(frozen=True)
class Composed:
    """A checked configuration, its tree, and where each leaf came from."""

    config: RunConfig
    tree: Tree
    sources: Mapping[str, Source]
    notices: tuple[str, ...] = ()
    typed: frozenset[str] = field(default_factory=frozenset)
    """The paths that overrides set, so that a space can leave them alone."""


def compose(
    recipe: Configurable,
    overrides: Sequence[str] = (),
    *,
    layers: Sequence[Layer] = (),
    config_dir: Path | None = None,
    config_name: str | None = None,
) -> Composed:
    """The configuration of `recipe`.

    layers: files laid over the groups in turn, complete or partial. config_dir: the user's folder
    of groups and top-level files, searched before the shipped ones. config_name: the
    top-level file in place of the recipe's own.

    Raises UsageError for overrides that cannot be read, ConfigError for all else.
    """
    folders = [*([config_dir.resolve()] if config_dir else []), recipe.conf, SHARED]
    if config_dir and not config_dir.is_dir():
        raise UsageError(f"--config-dir {config_dir}", expected="an existing folder")
    groups, values = _sorted_overrides(overrides, folders, recipe)
    if "data" not in groups and _names_data(layers, values, recipe):
        groups["data"] = "data=folder"
    chosen = dict(groups)
    groups |= _typed_kinds(values, folders, groups)
    tree, sources = _composed_groups(config_name or recipe.name, list(groups.values()), folders)
    from_groups = tree
    for file, raw in layers:
        tree = merged(tree, translated(raw, recipe))
        sources |= {_own(path, recipe): s for path, s in sources_in(file, raw).items()}
    if layers:
        for name in chosen.keys() - {"data"}:  # a group typed by hand outweighs the files
            drop(tree, name)
            put(tree, name, get(from_groups, name))
    for override in values:
        path, source = _own(override.key_or_group, recipe), Source(override=override.input_line)
        if override.is_delete():
            drop(tree, path)
        else:
            put(tree, path, _word(path, _plain(override), recipe))
            sources = {p: s for p, s in sources.items() if not p.startswith(f"{path}.")}
            sources[path] = source
    return _finished(tree, sources, recipe, values)


def translated(tree: Mapping[str, Any], recipe: Configurable) -> Tree:
    """A tree with foreign keys and values replaced by ours."""
    flat = {_own(path, recipe): value for path, value in flatten(tree).items()}
    result: Tree = {}
    for path, value in flat.items():
        put(result, path, _word(path, value, recipe))
    return result


def _finished(
    tree: Tree, sources: dict[str, Source], recipe: Configurable, values: Sequence[Override]
) -> Composed:
    tree = _resolved(tree)
    typed = frozenset(_own(v.key_or_group, recipe) for v in values)
    kept, foreign = without_foreign_keys(tree, recipe.config)
    notices = []
    for path, owners in foreign.items():
        if path in typed:
            put(kept, path, get(tree, path))  # typed on purpose: let the check refuse it
            continue
        section = path.rpartition(".")[0]
        if source_of(sources, f"{section}.type").override is None:
            notices.append(
                f"{path} (set in {source_of(sources, path)}) is ignored: only {owners} has it, "
                f"and {section}.type is {get(tree, section + '.type')}"
            )
    config = checked(kept, recipe.config, sources)
    complete = config.model_dump(mode="json")
    return Composed(config, complete, sources, tuple(notices), typed)


def _sorted_overrides(
    overrides: Sequence[str], folders: Sequence[Path], recipe: Configurable
) -> tuple[dict[str, str], list[Override]]:
    """Overrides that choose a group's file, by group; and those that set a value."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UsageError(
            str(error).strip().splitlines()[0], expected="overrides such as optim.lr=1e-3"
        ) from None
    groups: dict[str, str] = {}
    values: list[Override] = []
    for override in parsed:
        if override.is_sweep_override():
            raise UsageError(
                f"override {override.input_line!r} lists several values",
                expected="one value",
                remedy="To search over values, put them into a space file (--space FILE).",
            )
        name = override.key_or_group
        if any((folder / name).is_dir() for folder in folders):
            _check_option(override, folders)
            groups[name] = str(override.input_line)
        else:
            values.append(override)
    return groups, values


def _check_option(override: Override, folders: Sequence[Path]) -> None:
    if override.is_delete():
        return
    group, option = override.key_or_group, str(override.value())
    options = _options(group, folders)
    if option not in options:
        raise ConfigError(
            f"{group}={option}",
            expected=f"one of {', '.join(options)}",
            where=f"override {override.input_line!r}",
            remedy=did_you_mean(option, options),
        )


def _options(group: str, folders: Sequence[Path]) -> list[str]:
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def _names_data(layers: Sequence[Layer], values: Sequence[Override], recipe: Configurable) -> bool:
    """Whether the user names data of their own, which the embedded settings do not fit."""
    for override in values:
        if _own(override.key_or_group, recipe) == "data.dir":
            return override.value() is not None
    trees = (translated(layer.tree, recipe) for layer in layers)
    return any(get(tree, "data.dir") is not None for tree in trees)


def _typed_kinds(
    values: Sequence[Override], folders: Sequence[Path], groups: Mapping[str, str]
) -> dict[str, str]:
    """`model.type=clip` starts from the file of that kind where there is one."""
    found = {}
    for override in values:
        group, _, last = override.key_or_group.rpartition(".")
        if last == "type" and group and group not in groups and not override.is_delete():
            option = str(override.value())
            if option in _options(group, folders):
                found[group] = f"{group}={option}"
    return found


def _composed_groups(
    name: str, groups: list[str], folders: Sequence[Path]
) -> tuple[Tree, dict[str, Source]]:
    main, *others = folders
    search = f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in others)}]"
    try:
        with _hydra(main):
            config = hydra_compose(name, overrides=[*groups, search])
            loader = GlobalHydra.instance().config_loader()
            parts = loader.compute_defaults_list(name, [*groups, search], RunMode.RUN).defaults
    except HydraException as error:
        tops = sorted(file.stem for folder in folders for file in folder.glob("*.yaml"))
        raise ConfigError(
            f"the configuration {name!r} cannot be composed: {str(error).strip().splitlines()[0]}",
            remedy=did_you_mean(name, tops) or f"Known: {', '.join(tops)}.",
        ) from None
    except OmegaConfBaseException as error:
        raise ConfigError(f"the configuration {name!r} cannot be merged: {error}") from None
    sources: dict[str, Source] = {}
    for part in parts:
        if part.config_path is None or part.config_path.startswith("hydra"):
            continue
        file = next((f for d in folders if (f := d / f"{part.config_path}.yaml").exists()), None)
        if file is not None:
            content = {k: v for k, v in read_yaml(file).items() if k != "defaults"}
            sources |= sources_in(file, content, part.package or "")
    tree = OmegaConf.to_container(config, resolve=False)
    return {str(key): value for key, value in tree.items()}, sources  # type: ignore[union-attr]


@contextlib.contextmanager
def _hydra(folder: Path) -> Iterator[None]:
    """Hydra keeps one global; leave it as it was found."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        yield


def _resolved(tree: Tree) -> Tree:
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"an interpolation cannot be resolved: {error}") from None
    return {str(key): value for key, value in resolved.items()}  # type: ignore[union-attr]


def _plain(override: Override) -> Any:
    value = OmegaConf.create({"value": override.value()})
    return OmegaConf.to_container(value, resolve=False)["value"]  # type: ignore[index,call-overload]


def _own(path: str, recipe: Configurable) -> str:
    return recipe.aliases.get(path, path)


def _word(path: str, value: Any, recipe: Configurable) -> Any:
    words = recipe.words.get(path, {})
    return words.get(value, value) if isinstance(value, str) else value
