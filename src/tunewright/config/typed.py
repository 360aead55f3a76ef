"""What a user types outweighs what the product ships: told apart, and held to in every stage.

Typed is what stands on the command line, in a file of the user's, or in a folder of groups of
theirs. What a run or a study wrote down was not typed, as far as nobody changed it since.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tunewright.config.layers import Part
from tunewright.config.leaves import leaves
from tunewright.config.schema import OF_STUDIES, RunConfig
from tunewright.config.sources import Source, source_of
from tunewright.config.tree import Tree, copy_tree, drop, flatten, get, set_leaf

ONE_OF = (("schedule.warmup_steps", "schedule.warmup_epochs", "schedule.warmup_fraction"),)
"""Keys that say one thing in several ways: setting one ends what was set of the others before."""

SEED, SEARCH_SEED = "seed", "study.seed"
"""Of a training, and of the points that a study tries."""


class TypedSources(NamedTuple):
    """Which sources are a user's.

    shipped: folders of the product and of recipes. stored: files of studies. unchanged: paths
    that stand in a file as a run left them.
    """

    shipped: tuple[Path, ...]
    stored: frozenset[Path] = frozenset()
    unchanged: frozenset[str] = frozenset()

    def in_file(self, source: Source) -> bool:
        """Whether a value was set in a file of the user's."""
        file = source.file
        return (
            file is not None
            and file not in self.stored
            and not any(file.is_relative_to(folder) for folder in self.shipped)
        )

    def at(self, path: str, sources: Mapping[str, Source]) -> bool:
        """Whether the value at a path was typed."""
        source = source_of(sources, path)
        return source.override is not None or (self.in_file(source) and path not in self.unchanged)


def drop_outweighed(
    tree: Tree, sources: Mapping[str, Source], typed: TypedSources
) -> tuple[Tree, dict[str, dict[str, Any]]]:
    """The tree without what a stage ships for keys that were typed; and that, by stage and path.

    What was typed for the stage itself stays.
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


def unchanged_paths(part: Part, below: Mapping[str, Any], schema: type[RunConfig]) -> Iterable[str]:
    """The paths of a file that a run left which nobody changed: they are as below, or default.

    None of a file that leaves out whole sections, as only people do; nor what it has for stages,
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
    """What lies below `part`, without what it says in another way, or says the whole of."""
    said = {path for path, value in flatten(part.tree).items() if value is not None}
    ended = [path for ways in ONE_OF if said.intersection(ways) for path in ways]
    if _is_whole(part) and "stages" in part.tree:
        ended.append("stages")
    left = copy_tree(tree)
    for path in ended:
        drop(left, path)
    gone = tuple(f"{path}." for path in ended)
    return left, {path: s for path, s in sources.items() if not f"{path}.".startswith(gone)}


def _is_whole(part: Part) -> bool:
    """Whether a file has every section of a run, as files do that a run, a study or `show` left."""
    return part.tree.keys() >= RunConfig.model_fields.keys() - set(OF_STUDIES)
