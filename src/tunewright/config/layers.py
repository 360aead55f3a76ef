"""Merge files and overrides, in our spelling, into a configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tunewright.config import optuna_names
from tunewright.config.dialect import Dialect
from tunewright.config.schema import RunConfig
from tunewright.config.sources import Source, overlay_sources, sources_in
from tunewright.config.tree import Tree, copy_tree, drop, flatten, get, merge, set_leaf
from tunewright.errors import ConfigError, did_you_mean


class FidelityValues(Protocol):
    """The property of a fidelity that composing needs."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What it sets where nobody typed another value, by config path."""
        ...


class Configurable(Protocol):
    """The properties of a recipe that composing needs.

    conf: its folder of YAML groups, with `<name>.yaml` as the top. groups: folders of groups that
    it shares with other recipes, searched after its own. fidelities: by the names that the key
    `fidelity` takes.
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
    def groups(self) -> Sequence[Path]:
        """Folders of further groups."""
        ...

    @property
    def dialect(self) -> Dialect:
        """Foreign names of keys, values and groups."""
        ...

    @property
    def fidelities(self) -> Mapping[str, FidelityValues]:
        """What each named fidelity sets."""
        ...


class Layer(NamedTuple):
    """A file of settings and the mapping that was read from it.

    stored: whether a study wrote it, so that nothing in it was typed now.
    """

    file: Path
    tree: Mapping[str, Any]
    stored: bool = False


class Part(NamedTuple):
    """The leaves that one file or override sets, in our spelling, or removes."""

    tree: Tree
    sources: dict[str, Source]
    takes_out: bool = False


def part_of_file(layer: Layer, chosen: Mapping[str, str], recipe: Configurable) -> Part:
    """Return a file's settings, without those of groups typed by hand, which override it."""
    tree = translate(layer.tree, recipe)
    for group in chosen.keys() - {"data"}:  # a data group sets more than the path of the data
        drop(tree, group)
    sources = {
        path_of_key(path, recipe): s for path, s in sources_in(layer.file, layer.tree).items()
    }
    return Part(tree, {path: sources.get(path, Source(layer.file)) for path in flatten(tree)})


def overlay_part(
    tree: Tree, sources: Mapping[str, Source], part: Part
) -> tuple[Tree, dict[str, Source]]:
    """Return a configuration and its sources after merging one more part.

    Raises ConfigError for a path to remove that does not exist.
    """
    if not part.takes_out:
        return merge(tree, part.tree), overlay_sources(sources, part.sources)
    left = copy_tree(tree)
    for path, source in part.sources.items():
        if get(tree, path, left) is left:
            raise ConfigError(
                path,
                expected="a key that is set, so that it can be removed",
                where=str(source),
                remedy=did_you_mean(path, flatten(tree)),
            )
        drop(left, path)
    gone = tuple(f"{path}." for path in part.sources)
    return left, {p: s for p, s in sources.items() if not f"{p}.".startswith(gone)}


def in_our_spelling(
    tree: Tree, sources: Mapping[str, Source], recipe: Configurable
) -> tuple[Tree, dict[str, Source]]:
    """Return a composed configuration and its sources in our spelling.

    Group files of users may be in a guide's dialect; their keys override ours, which such files
    lack.
    """
    flat = flatten(tree)
    foreign = {
        path: path_of_key(path, recipe) for path in flat if path_of_key(path, recipe) != path
    }
    ours, theirs = copy_tree(tree), {path: flat[path] for path in foreign}
    for path in foreign:
        drop(ours, path)
    placed = {own: sources[path] for path, own in foreign.items() if path in sources}
    left = {path: source for path, source in sources.items() if path not in foreign}
    return overlay_part(translate(ours, recipe), left, Part(translate(theirs, recipe), placed))


def translate(tree: Mapping[str, Any], recipe: Configurable) -> Tree:
    """Return a tree with foreign keys and values replaced by ours."""
    typed = sorted(flatten(tree).items(), key=lambda item: item[0] not in recipe.dialect.switches)
    flat = {path_of_key(path, recipe): value for path, value in typed}
    result: Tree = {}
    for path, value in flat.items():
        set_leaf(result, path, _word(path, value, recipe))
    return result


def path_of_key(path: str, recipe: Configurable) -> str:
    """Return our path for a key, which may be in a guide's or Optuna's spelling."""
    return recipe.dialect.aliases.get(path) or optuna_names.KEYS.get(path, path)


def _word(path: str, value: Any, recipe: Configurable) -> Any:
    words = {**optuna_names.WORDS.get(path, {}), **recipe.dialect.value_aliases.get(path, {})}
    if isinstance(value, bool):
        return words.get(str(value).lower(), value)
    return words.get(value, value) if isinstance(value, str) else value
