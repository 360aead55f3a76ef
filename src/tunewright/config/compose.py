"""Compose configurations by Hydra's grammar from YAML groups, a file and overrides.

The only module that uses Hydra. Order, later wins: the recipe's groups, the user's file, overrides.
Hydra accepts unknown keys in group files, so the whole tree is checked afterwards (`config.check`),
with the source of each value.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tunewright.config.check import validate
from tunewright.config.layers import (
    Configurable,
    Layer,
    Part,
    in_our_spelling,
    overlay_part,
    part_of_file,
    translate,
)
from tunewright.config.leaves import leaves, with_kinds, without_foreign_keys
from tunewright.config.quoting import in_quotes
from tunewright.config.schema import RunConfig
from tunewright.config.sources import Source, overlay_sources, source_of, sources_in
from tunewright.config.tree import Tree, at, flatten, get, merge, set_leaf
from tunewright.config.typed import (
    TypedSources,
    drop_outweighed,
    drop_overridden,
    follow_seed,
    unchanged_paths,
)
from tunewright.errors import ConfigError, UsageError, did_you_mean
from tunewright.runs.atomic import read_yaml
from tunewright.runs.machine import temporary_folders
from tunewright.runs.stamp import Stamp, file_stamp

SHARED = Path(__file__).parent / "conf"


@dataclass(frozen=True)
class Composition:
    """A checked configuration, its tree, and where each leaf came from."""

    config: RunConfig
    tree: Tree
    sources: Mapping[str, Source]
    notices: tuple[str, ...] = ()
    typed: frozenset[str] = frozenset()
    """The paths that overrides set, so that a space can leave them alone."""
    reserved: Mapping[str, Any] = field(default_factory=dict)
    """Typed values of other kinds than a section's own, for trials that choose those kinds."""
    written: Mapping[str, Source] = field(default_factory=dict)
    """The paths that the user's files set, and where; a search begins at these values."""
    outweighed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Values shipped by stages for paths that were typed, and which are overridden there."""


def compose(
    recipe: Configurable,
    overrides: Sequence[str] = (),
    *,
    layers: Sequence[Layer] = (),
    config_dir: Path | None = None,
    config_name: str | None = None,
    reserving: bool = False,
) -> Composition:
    """Return the configuration of `recipe`.

    layers: files laid over the groups in turn, complete or partial. config_dir: the user's folder
    of groups and top-level files, searched before the shipped ones. config_name: the top-level file
    in place of the recipe's own. reserving: a study may search a section's `type`, so an override
    for another of its kinds is kept in `reserved`, not refused.

    Raises UsageError for overrides that cannot be read, ConfigError for all else.
    """
    own = [config_dir.resolve()] if config_dir else []
    folders = [*own, recipe.conf, *recipe.groups, SHARED]
    if config_dir and not config_dir.is_dir():
        raise UsageError(f"--config-dir {config_dir}", expected="an existing folder")
    chosen, typed = _split_overrides(overrides, folders, recipe)
    parts = [*(part_of_file(layer, chosen, recipe) for layer in layers), *typed]
    groups = _implied_groups(parts, folders) | chosen
    top = (config_name or recipe.name).removesuffix(".yaml")
    chosen_groups = tuple(groups.values())
    found = (
        _compose_groups(top, chosen_groups, folders, own=own[0])
        if own
        else _compose_own_files(top, chosen_groups, tuple(folders))
    )
    tree, sources = in_our_spelling(*found, recipe)
    as_left: set[str] = set()
    for part in parts:
        as_left = as_left.difference(part.sources).union(unchanged_paths(part, tree, recipe.config))
        tree, sources = overlay_part(*drop_overridden(tree, sources, part), part)
    paths = {path for part in typed for path in part.sources}
    kinds = {f"{group}.type" for group in chosen} & leaves(recipe.config).keys()
    users = TypedSources(
        (recipe.conf, *recipe.groups, SHARED),
        frozenset(layer.file for layer in layers if layer.stored),
        frozenset(as_left),
    )
    return _finish(tree, sources, recipe, frozenset(paths | kinds), reserving, users)


def _finish(
    tree: Tree,
    sources: Mapping[str, Source],
    recipe: Configurable,
    typed: frozenset[str],
    reserving: bool,
    users: TypedSources,
) -> Composition:
    tree, outweighed = drop_outweighed(_resolve(tree), sources, users)
    tree = with_kinds(tree, recipe.config)
    kept, foreign = without_foreign_keys(tree, recipe.config)
    written = {path: source for path, source in sources.items() if users.in_file(source)}
    kept, sources, seed_notices = follow_seed(kept, sources, users)
    notices, reserved = [*seed_notices], {}
    for path, owners in foreign.items():
        section = path.rpartition(".")[0]
        if path in typed and reserving and f"{section}.type" not in typed:
            reserved[path] = get(tree, path)
            continue
        if path in typed:
            set_leaf(kept, path, get(tree, path))  # typed on purpose: the check will refuse it
            continue
        if source_of(sources, f"{section}.type").override is None:
            notices.append(
                f"{path} (set in {source_of(sources, path)}) is ignored: only {owners} has it, "
                f"and {section}.type is {get(tree, section + '.type')}"
            )
    config = validate(kept, recipe.config, sources, recipe.aliases)
    complete = config.model_dump(mode="json")
    for stage in complete["stages"]:
        _check_stage(stage, complete, sources, recipe)
    return Composition(
        config, complete, sources, tuple(notices), typed, reserved, written, outweighed
    )


def _check_stage(
    stage: str, tree: Tree, sources: Mapping[str, Source], recipe: Configurable
) -> None:
    """Check a stage's overrides as well, so that a misspelt key fails before the search."""
    prefix = f"stages.{stage}."
    placed = {p.removeprefix(prefix): s for p, s in sources.items() if p.startswith(prefix)}
    replaced, _ = without_foreign_keys(merge(tree, tree["stages"][stage]), recipe.config)
    validate(replaced, recipe.config, {**sources, **placed}, recipe.aliases)


def _part_of_override(override: Override, recipe: Configurable) -> Part:
    value = None if override.is_delete() else _plain(override)
    tree = translate({override.key_or_group: value}, recipe)
    sources = dict.fromkeys(flatten(tree), Source(override=override.input_line))
    return Part(tree, sources, takes_out=override.is_delete())


def _split_overrides(
    overrides: Sequence[str], folders: Sequence[Path], recipe: Configurable
) -> tuple[dict[str, str], list[Part]]:
    """Split overrides into the files chosen for groups, and single values."""
    groups: dict[str, str] = {}
    values: list[Part] = []
    for override in map(_parse_override, overrides):
        if override.is_sweep_override():
            raise UsageError(
                f"override {override.input_line!r} lists several values",
                expected="one value",
                remedy="To search over values, list them in a space file (--space FILE).",
            )
        name = override.key_or_group
        if not isinstance(override.value(), dict) and name in recipe.group_aliases:
            name = recipe.group_aliases[name]
            override = _parse_override(f"{name}={override.value()}")
        chooses = not isinstance(override.value(), dict)  # optim={lr: 1} sets values
        if chooses and any((folder / name).is_dir() for folder in folders):
            _check_option(override, folders)
            groups[name] = str(override.input_line)
        else:
            values.append(_part_of_override(override, recipe))
    return groups, values


def _parse_override(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"override {text!r} cannot be read ({reason})",
            expected="one such as optim.lr=1e-3",
            remedy="A value with ~, commas, brackets or spaces needs quotes: key='\"a, b\"'.",
        ) from None


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


def _implied_groups(parts: Sequence[Part], folders: Sequence[Path]) -> dict[str, str]:
    """Return the groups implied by single settings.

    `model.type=clip`, typed or in a file, starts from the file of that kind where there is one; the
    user's own data do not start from the embedded ones.
    """
    groups: dict[str, str] = {}
    for part in parts:
        for path, value in flatten(part.tree).items():
            group, _, last = path.rpartition(".")
            if group and last == "type" and str(value) in _options(group, folders):
                groups[group] = f"{group}={value}"
            elif path == "data.dir":
                groups.pop("data", None)
                if value is not None and "folder" in _options("data", folders):
                    groups["data"] = "data=folder"
    return groups


def _compose_own_files(
    name: str, groups: tuple[str, ...], folders: tuple[Path, ...]
) -> tuple[Tree, Mapping[str, Source]]:
    """Return the cached composition of a recipe's own files; Hydra takes a tenth of a second."""
    files = [file for folder in folders for file in folder.rglob("*.yaml")]
    return _compose_cached(name, groups, folders, tuple((f, file_stamp(f)) for f in files))


@cache
def _compose_cached(
    name: str,
    groups: tuple[str, ...],
    folders: tuple[Path, ...],
    _written: tuple[tuple[Path, Stamp | None], ...],
) -> tuple[Tree, Mapping[str, Source]]:
    return _compose_groups(name, groups, folders)


def _compose_groups(
    name: str, groups: Sequence[str], folders: Sequence[Path], own: Path | None = None
) -> tuple[Tree, Mapping[str, Source]]:
    """Compose a top-level file and its groups with Hydra; return the tree and its sources.

    own: the user's folder, whose groups override shipped ones that a shipped file lists after them.
    """
    top = next((f for d in folders if (f := d / f"{name}.yaml").is_file()), None)
    if top is None:
        tops = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
        raise ConfigError(
            f"no configuration {name!r} in {' or '.join(map(str, folders))}",
            expected=f"one of {', '.join(tops)}",
            remedy=did_you_mean(name, tops),
        )
    read_yaml(top)  # for errors that name the file; Hydra reads a copy
    places = ",".join(in_quotes(f"file://{folder}") for folder in folders)
    search = f"hydra.searchpath=[{places}]"
    try:
        with _initialise_hydra(top):
            config = hydra_compose(name, overrides=[*groups, search])
            loader = GlobalHydra.instance().config_loader()
            parts = loader.compute_defaults_list(name, [*groups, search], RunMode.RUN).defaults
    except HydraException as error:
        raise ConfigError(
            f"the configuration {name!r} cannot be composed: {str(error).strip().splitlines()[0]}"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"a file of {name!r} is not readable as YAML: {error}") from None
    except OmegaConfBaseException as error:
        raise ConfigError(f"the configuration {name!r} cannot be merged: {error}") from None
    sources: dict[str, Source] = {}
    users: list[tuple[Tree, dict[str, Source]]] = []
    for part in parts:
        if part.config_path is None or part.config_path.startswith("hydra"):
            continue
        file = next((f for d in folders if (f := d / f"{part.config_path}.yaml").exists()), None)
        if file is not None:
            content = {k: v for k, v in read_yaml(file).items() if k != "defaults"}
            placed = sources_in(file, content, part.package or "")
            sources |= placed
            if own and file.is_relative_to(own) and not top.is_relative_to(own):
                users.append((at(part.package or "", content), placed))
    container = OmegaConf.to_container(config, resolve=False)
    tree = {str(key): value for key, value in container.items()}  # type: ignore[union-attr]
    for content, placed in users:
        tree, sources = merge(tree, content), overlay_sources(sources, placed)
    return tree, sources


@contextlib.contextmanager
def _initialise_hydra(top: Path) -> Iterator[None]:
    """Initialise Hydra for one composition, and clear its global state afterwards.

    Its primary file must lie in the first folder of the search path, and ours may lie in any: it
    gets a folder to itself, and the order of all others is that of `hydra.searchpath`.
    """
    GlobalHydra.instance().clear()
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix()) as alone:
        shutil.copyfile(top, Path(alone) / top.name)
        with initialize_config_dir(alone, version_base="1.3"):
            yield


def _resolve(tree: Tree) -> Tree:
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"an interpolation cannot be resolved: {error}") from None
    return {str(key): value for key, value in resolved.items()}  # type: ignore[union-attr]


def _plain(override: Override) -> Any:
    value = OmegaConf.create({"value": override.value()})
    return OmegaConf.to_container(value, resolve=False)["value"]  # type: ignore[index,call-overload]
