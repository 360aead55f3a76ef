"""Compose configurations by Hydra's grammar from YAML groups, a file and overrides.

Order, later wins: the recipe's groups, the user's file, overrides. Hydra accepts unknown keys in
group files, so the whole tree is checked afterwards (`config.check`), with the sources.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tunewright.config.check import validate
from tunewright.config.interpolations import check_interpolations
from tunewright.config.layers import (
    Configurable,
    Layer,
    in_our_spelling,
    overlay_part,
    part_of_file,
)
from tunewright.config.leaves import leaves, with_kinds, without_foreign_keys
from tunewright.config.overrides import implied_groups, in_quotes, one_line, split_overrides
from tunewright.config.schema import RunConfig
from tunewright.config.sources import Source, overlay_sources, source_of, sources_in
from tunewright.config.tree import Tree, at, flatten, get, merge, set_leaf
from tunewright.config.typed import (
    TypedSources,
    apply_fidelity,
    apply_implied,
    drop_outweighed,
    drop_overridden,
    follow_seed,
    unchanged_paths,
    without_other_fidelity,
)
from tunewright.errors import ConfigError, UsageError, did_you_mean
from tunewright.result import Result, to_json
from tunewright.runs.atomic import read_yaml
from tunewright.runs.machine import temporary_folders
from tunewright.runs.regular_files import is_file
from tunewright.runs.stamp import Stamp, file_stamp

SHARED = Path(__file__).parent / "conf"


@dataclass(frozen=True)
class Composition(Result):
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

    def as_json(self) -> dict[str, Any]:
        """Return the configuration; `sources` says where its values come from."""
        found: dict[str, Any] = to_json(self.tree)
        return found


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
    chosen, typed = split_overrides(overrides, folders, recipe)
    parts = without_other_fidelity(
        [*(part_of_file(layer, chosen, recipe) for layer in layers), *typed], recipe
    )
    groups = implied_groups(parts, folders) | chosen
    top = (config_name or recipe.name).removesuffix(".yaml")
    chosen_groups = tuple(groups.values())
    base = (
        _compose_groups(top, chosen_groups, folders, own=own[0])
        if own
        else _compose_own_files(top, chosen_groups, tuple(folders))
    )
    tree, sources = in_our_spelling(*base, recipe)
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
    tree, placed, notices = apply_fidelity((tree, sources), parts, recipe, users)
    composed = _finish(tree, placed, recipe, frozenset(paths | kinds), reserving, users)
    return replace(composed, notices=(*notices, *composed.notices))


def _finish(
    tree: Tree,
    sources: Mapping[str, Source],
    recipe: Configurable,
    typed: frozenset[str],
    reserving: bool,
    users: TypedSources,
) -> Composition:
    tree, outweighed = drop_outweighed(_resolve(tree), sources, users)
    tree, implied = apply_implied(tree, sources, typed, recipe.config, users)
    tree = with_kinds(tree, recipe.config)
    kept, foreign = without_foreign_keys(tree, recipe.config)
    written = {path: source for path, source in sources.items() if users.in_file(source)}
    kept, sources, seed_notices = follow_seed(kept, sources, users)
    notices = [*implied, *seed_notices]
    reserved: dict[str, Any] = {}
    for path, owners in foreign.items():
        section = path.rpartition(".")[0]
        by_hand = path in typed or any(p.startswith(f"{path}.") for p in typed)
        if by_hand and reserving and f"{section}.type" not in typed:
            reserved |= flatten({path: get(tree, path)})
            continue
        if by_hand:
            set_leaf(kept, path, get(tree, path))  # typed on purpose: the check will refuse it
            continue
        if source_of(sources, f"{section}.type").override is None:
            notices.append(
                f"{path} (set in {source_of(sources, path)}) is ignored: only {owners} has it, "
                f"and {section}.type is {get(tree, section + '.type')}"
            )
    config = validate(kept, recipe.config, sources, recipe.dialect)
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
    validate(replaced, recipe.config, {**sources, **placed}, recipe.dialect)


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
    top = next((f for d in folders if is_file(f := d / f"{name}.yaml")), None)
    if top is None:
        tops = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
        raise ConfigError(
            f"no configuration {name!r} in {' or '.join(map(str, folders))}",
            expected=f"one of {', '.join(tops)}",
            remedy=did_you_mean(name, tops),
        )
    _read_reachable(top, groups, own)
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
    except OmegaConfBaseException as error:
        raise ConfigError(f"the configuration {name!r} cannot be merged: {error}") from None
    except _OF_HYDRA as error:
        raise ConfigError(
            f"the configuration {name!r} cannot be composed ({one_line(error)})",
            where=str(top),
            expected="defaults such as [{optim: adamw}, _self_]",
        ) from None
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


_OF_HYDRA = (ValueError, TypeError, AttributeError, LookupError, AssertionError, RecursionError)
"""What Hydra raises, besides its own errors, for a `defaults` list of another form."""


def _read_reachable(top: Path, groups: Sequence[str], own: Path | None) -> None:
    """Read the files that Hydra will read, within our limits and for errors that name the file.

    These are the top-level file, which it reads as a copy, and those of the user's own folder that
    the chosen groups and the `defaults` lists name.
    """
    waiting, seen = [top], set[Path]()
    if own is not None:
        waiting += [own / f"{group.replace('=', '/')}.yaml" for group in groups]
    while waiting:
        file = waiting.pop()
        if file in seen or not is_file(file):
            continue
        seen.add(file)
        defaults = read_yaml(file).get("defaults")
        for entry in defaults if isinstance(defaults, list) and own is not None else ():
            for name in _files_in_defaults(entry):
                waiting += [folder / f"{name}.yaml" for folder in (own, file.parent) if folder]


def _files_in_defaults(entry: object) -> Iterator[str]:
    """Yield the files, without suffix, that an entry of a `defaults` list may mean."""
    if isinstance(entry, str):
        yield entry.partition("@")[0].lstrip("/")
    elif isinstance(entry, Mapping):
        for key, options in entry.items():
            group = str(key).rpartition(" ")[2].partition("@")[0].lstrip("/")
            for option in options if isinstance(options, list) else [options]:
                yield f"{group}/{option}"


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
    check_interpolations(tree)
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except (OmegaConfBaseException, ValueError, RecursionError) as error:
        raise ConfigError(f"an interpolation cannot be resolved: {one_line(error)}") from None
    return {str(key): value for key, value in resolved.items()}  # type: ignore[union-attr]
