"""Typed values override shipped ones in every stage; this module tells the two apart.

A value is typed on the command line, in a user's file, or in a user's folder of groups. Values that
a run or a study wrote down were not typed, unless somebody changed them since.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunewright.config.layers import Configurable, Part, overlay_part
from tunewright.config.leaves import leaves
from tunewright.config.schema import OF_STUDIES, RunConfig
from tunewright.config.sources import Source, source_of
from tunewright.config.tree import Tree, copy_tree, drop, flatten, get, set_leaf
from tunewright.errors import ConfigError, did_you_mean

ONE_OF = (("schedule.warmup_steps", "schedule.warmup_epochs", "schedule.warmup_fraction"),)
"""Alternative keys for one setting: setting one removes the others set before."""

SEED, SEARCH_SEED = "seed", "study.seed"
"""Of a training, and of the points that a study tries."""

FIDELITY = "fidelity"


class TypedSources(NamedTuple):
    """Tells which sources are a user's.

    shipped: folders of the product and of recipes. stored: files of studies. unchanged: paths in a
    file that are as a run wrote them.
    """

    shipped: tuple[Path, ...]
    stored: frozenset[Path] = frozenset()
    unchanged: frozenset[str] = frozenset()

    def in_file(self, source: Source) -> bool:
        """Return whether a value was set in a user's file."""
        file = source.file
        return (
            file is not None
            and file not in self.stored
            and not any(file.is_relative_to(folder) for folder in self.shipped)
        )

    def at(self, path: str, sources: Mapping[str, Source]) -> bool:
        """Return whether the value at a path was typed."""
        source = source_of(sources, path)
        return source.override is not None or (self.in_file(source) and path not in self.unchanged)

    def is_shipped(self, path: str, sources: Mapping[str, Source]) -> bool:
        """Return whether a value is the product's: neither typed nor stored by a run or study."""
        source = source_of(sources, path)
        return source.override is None and (
            source.file is None
            or any(source.file.is_relative_to(folder) for folder in self.shipped)
        )


def apply_implied(
    tree: Tree,
    sources: Mapping[str, Source],
    typed: Collection[str],
    schema: type[RunConfig],
    users: TypedSources,
) -> tuple[Tree, list[str]]:
    """Return the tree with what its switches imply, in place of shipped values; and notices.

    typed: paths that overrides set, also by choosing a group. Where a section's `type` is implied,
    its shipped keys go, which are those of another type. See `RunConfig.implied`.
    """
    found, notices = copy_tree(tree), []
    for switch, values in schema.implied.items():
        if get(tree, switch) is not True:
            continue
        for path, value in values.items():
            if path in typed or not users.is_shipped(path, sources) or get(tree, path) == value:
                continue
            section, _, last = path.rpartition(".")
            if last == "type":
                for key in get(tree, section, {}):
                    if users.is_shipped(f"{section}.{key}", sources):
                        drop(found, f"{section}.{key}")
            set_leaf(found, path, value)
            notices.append(f"{path} = {value}, since {switch} = true; set it for another")
    return found, notices


def drop_outweighed(
    tree: Tree, sources: Mapping[str, Source], typed: TypedSources
) -> tuple[Tree, dict[str, dict[str, Any]]]:
    """Return the tree without stage values for typed keys; and those values, by stage and path.

    Values typed for the stage itself stay.
    """
    held = copy_tree(tree)
    outweighed: dict[str, dict[str, Any]] = {}
    for stage, replaced in tree.get("stages", {}).items():
        if not isinstance(replaced, Mapping):
            continue
        kept: Tree = {}
        gone: dict[str, Any] = {}
        for path, value in flatten(replaced).items():
            if typed.at(path, sources) and not typed.at(f"stages.{stage}.{path}", sources):
                gone[path] = value
            else:
                set_leaf(kept, path, value)
        if gone:
            held["stages"][stage], outweighed[stage] = kept, gone
    return held, outweighed


def follow_seed(
    tree: Tree, sources: Mapping[str, Source], typed: TypedSources
) -> tuple[Tree, Mapping[str, Source], tuple[str, ...]]:
    """Return the tree and sources with `study.seed` set to a typed `seed`, and notices.

    One number then varies the points of the search and the trainings. A typed `study.seed` holds,
    and alone it varies the points only, which is said.
    """
    seeds = {path: get(tree, path) for path in (SEED, SEARCH_SEED)}
    if typed.at(SEARCH_SEED, sources):
        if typed.at(SEED, sources):
            return tree, sources, ()
        notice = (
            f"{SEARCH_SEED} = {seeds[SEARCH_SEED]} varies the points that are tried; trainings "
            f"keep seed = {seeds[SEED]} (set seed alone to vary both)"
        )
        return tree, sources, (notice,)
    if not typed.at(SEED, sources) or type(seeds[SEED]) is not int:
        return tree, sources, ()
    followed = copy_tree(tree)
    set_leaf(followed, SEARCH_SEED, seeds[SEED] % 2**32)  # NumPy takes no negative seed
    return followed, {**sources, SEARCH_SEED: source_of(sources, SEED)}, ()


def apply_fidelity(
    composed: tuple[Tree, Mapping[str, Source]],
    parts: Sequence[Part],
    recipe: Configurable,
    users: TypedSources,
) -> tuple[Tree, Mapping[str, Source], list[str]]:
    """Return the tree and sources with the values of the named fidelity, and notices.

    Typed values win, and a notice names them. A file that a run or a study wrote has the values of
    its fidelity in it already, and what was typed then. Raises ConfigError for a name that the
    recipe does not declare.
    """
    tree, sources = composed
    name = get(tree, FIDELITY)
    for stage, replaced in tree.get("stages", {}).items():
        if isinstance(replaced, Mapping) and FIDELITY in replaced:
            raise ConfigError(
                f"stages.{stage}.{FIDELITY}",
                expected="one fidelity for all stages",
                where=str(source_of(sources, f"stages.{stage}.{FIDELITY}")),
                remedy=f"Set what differs: stages.{stage}.training.epochs=N.",
            )
    if name is None:
        return tree, sources, []
    known = recipe.fidelities
    if name not in known:
        raise ConfigError(
            f"{FIDELITY} = {name}",
            expected=f"one of {', '.join(known)}"
            if known
            else f"none, since the recipe {recipe.name} declares no fidelities",
            where=str(source_of(sources, FIDELITY)),
            remedy=did_you_mean(str(name), known)
            if known
            else "Set what a trial may spend by hand: training.epochs=N.",
        )
    if any(part.tree.get(FIDELITY) == name and is_stored(part, users) for part in parts):
        return tree, sources, []
    setting = Source(override=f"{FIDELITY}={name}")
    new: Tree = {}
    kept = []
    for path, value in known[name].values.items():
        now = get(tree, path)
        if not users.at(path, sources):
            set_leaf(new, path, value)
        elif now != value:
            kept.append(f"{path} = {now} ({source_of(sources, path)}) in place of {value}")
    part = Part(new, dict.fromkeys(flatten(new), setting))
    changed, placed = overlay_part(*drop_overridden(tree, sources, part), part)
    values = ", ".join(f"{path} = {'null' if v is None else v}" for path, v in flatten(new).items())
    notices = [f"{FIDELITY} {name}: {values}"] if new else []
    notices += [f"{FIDELITY} {name} leaves what was typed: {'; '.join(kept)}"] if kept else []
    return changed, placed, notices


def without_other_fidelity(parts: Sequence[Part], recipe: Configurable) -> list[Part]:
    """Return the parts without what a fidelity set in a file where another one was named since."""
    named = [part.tree.get(FIDELITY) for part in parts if FIDELITY in part.tree]
    if len(named) < 2:
        return list(parts)
    found = []
    for part in parts:
        own = part.tree.get(FIDELITY)
        if isinstance(own, str) and own in recipe.fidelities and own != named[-1]:
            left, sources = copy_tree(part.tree), dict(part.sources)
            for path, value in recipe.fidelities[own].values.items():
                if get(left, path, left) == value:
                    drop(left, path)
                    sources.pop(path, None)
            part = part._replace(tree=left, sources=sources)
        found.append(part)
    return found


def is_stored(part: Part, users: TypedSources) -> bool:
    """Return whether a run or a study wrote a part."""
    files = {source.file for source in part.sources.values()}
    return _is_whole(part) or (bool(files) and files <= users.stored)


def unchanged_paths(part: Part, below: Mapping[str, Any], schema: type[RunConfig]) -> Iterable[str]:
    """Return the paths of a run's file that nobody changed: equal to `below`, or default.

    Empty for a file that lacks whole sections, as only people write them. Excludes stage values,
    which no run has.
    """
    if not _is_whole(part):
        return ()
    usual = {path: leaf.default for path, leaf in leaves(schema).items()}
    left = {path: v for path, v in flatten(part.tree).items() if not path.startswith("stages.")}
    return [path for path, v in left.items() if get(below, path, usual.get(path)) == v]


def drop_overridden(
    tree: Tree, sources: Mapping[str, Source], part: Part
) -> tuple[Tree, dict[str, Source]]:
    """Return `tree` without what `part` sets by an alternative key, or replaces as a whole."""
    paths_set = {path for path, value in flatten(part.tree).items() if value is not None}
    ended = [path for ways in ONE_OF if paths_set.intersection(ways) for path in ways]
    if _is_whole(part) and "stages" in part.tree:
        ended.append("stages")
    left = copy_tree(tree)
    for path in ended:
        drop(left, path)
    gone = tuple(f"{path}." for path in ended)
    return left, {path: s for path, s in sources.items() if not f"{path}.".startswith(gone)}


def _is_whole(part: Part) -> bool:
    """Return whether a file has every section of a run, as written by a run, a study or `show`.

    Older versions wrote no fidelity.
    """
    return part.tree.keys() >= RunConfig.model_fields.keys() - {*OF_STUDIES, FIDELITY}
