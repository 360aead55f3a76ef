"""The schema as a list of paths, so that spaces and messages can reason about keys."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from tunewright.config.section import PATH
from tunewright.config.tree import Tree

OPTIONS = "options"
"""The key of a mapping whose keys are the keyword arguments of a component."""
SHOWN_KINDS = 8
"""How many kinds a message lists."""


@dataclass(frozen=True)
class Leaf:
    """A key that can be set.

    kinds: for each section on the way that exists in several kinds, its path and the kinds that
    have this key: `{"model": ("clip", "mlp")}` for `model.hidden_dim`. is_path: the value is the
    name of a file or folder.
    """

    path: str
    default: Any
    kinds: Mapping[str, tuple[str, ...]]
    is_path: bool = False


@cache
def leaves(schema: type[BaseModel]) -> Mapping[str, Leaf]:
    """Return all paths of a schema; a path that several kinds share is listed once."""
    found = _Leaves()
    _walk(schema, "", {}, found)
    return MappingProxyType(found)


class _Leaves(dict[str, Leaf]):
    """Leaves by path; those below a mapping of options exist too, though no schema lists them."""

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or (isinstance(path, str) and self._above(path) != "")

    def __missing__(self, path: str) -> Leaf:
        if above := self._above(path):
            return Leaf(path, None, self[above].kinds)
        raise KeyError(path)

    def _above(self, path: str) -> str:
        above, dot, last = path.rpartition(".")
        known = above.endswith(f".{OPTIONS}") and super().__contains__(above)
        return above if dot and last and known else ""


class OpenSection(BaseModel):
    """A section that takes any key; its leaves are those in `named`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    named: ClassVar[tuple[str, ...]] = ()


def open_section(paths: Iterable[str]) -> type[OpenSection]:
    """Return an open section with these paths as leaves, of any type and without a default."""

    class UserKeys(OpenSection):
        """Keys that a user defined."""

        named: ClassVar[tuple[str, ...]] = tuple(paths)

    return UserKeys


def kinds_of(field: FieldInfo) -> dict[str, type[BaseModel]]:
    """Return the kinds of section that a field accepts, by their `type`; empty for plain fields."""
    if field.discriminator is None:
        return {}
    kinds: dict[str, type[BaseModel]] = {}
    for section in get_args(_unwrap_annotation(field.annotation)):
        for name in get_args(section.model_fields["type"].annotation):
            kinds[name] = section
    return kinds


def shown_kinds(kinds: Sequence[str]) -> Sequence[str]:
    """Return the kinds that a message lists: all of them, or of many the first few."""
    return kinds if len(kinds) <= SHOWN_KINDS else [*kinds[:3], f"{len(kinds) - 3} others"]


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the section class of a field that has only one kind."""
    bare = _unwrap_annotation(field.annotation)
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


def kind_at(tree: Mapping[str, Any], schema: type[BaseModel], path: str) -> type[BaseModel] | None:
    """Return the section class of a tree at a path; None where there is no such section."""
    kind: type[BaseModel] | None = schema
    node: Any = tree
    for name in path.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
        if kind is None or name not in kind.model_fields or not isinstance(node, Mapping):
            return None
        field = kind.model_fields[name]
        several = kinds_of(field)
        kind = several.get(str(node.get("type"))) if several else section_of(field)
    return kind


def without_foreign_keys(tree: Tree, schema: type[BaseModel]) -> tuple[Tree, dict[str, str]]:
    """Remove the keys that belong to another kind than the section's `type`.

    Returns the tree without them, and for each removed path the kinds that have it.
    """
    foreign: dict[str, str] = {}
    return _prune(tree, schema, "", foreign), foreign


def with_kinds(tree: Mapping[str, Any], schema: type[BaseModel]) -> Tree:
    """Return the tree with the default `type` in every section that does not set one."""
    filled: Tree = {}
    for name, value in tree.items():
        field = schema.model_fields.get(name)
        if field is None or not isinstance(value, dict):
            filled[name] = value
            continue
        several = kinds_of(field)
        if several and isinstance(default := field.default, BaseModel):
            value = {"type": getattr(default, "type", None), **value}
        section = several.get(str(value.get("type"))) if several else section_of(field)
        filled[name] = value if section is None else with_kinds(value, section)
    return filled


def _walk(
    schema: type[BaseModel],
    prefix: str,
    kinds: Mapping[str, tuple[str, ...]],
    found: dict[str, Leaf],
) -> None:
    if issubclass(schema, OpenSection):
        found |= {f"{prefix}{path}": Leaf(f"{prefix}{path}", None, {}) for path in schema.named}
    for name, field in schema.model_fields.items():
        path = f"{prefix}{name}"
        if several := kinds_of(field):
            found[f"{path}.type"] = Leaf(f"{path}.type", None, dict(kinds))
            for kind, section in several.items():
                _walk(section, f"{path}.", {**kinds, path: (kind,)}, found)
        elif (section_type := section_of(field)) is not None and section_type.model_fields:
            _walk(section_type, f"{path}.", kinds, found)
        elif path not in found:
            default = field.get_default(call_default_factory=True)
            found[path] = Leaf(path, default, dict(kinds), _is_path(field))
        elif name != "type":
            found[path] = _share_kinds(found[path], kinds)


def _share_kinds(leaf: Leaf, kinds: Mapping[str, tuple[str, ...]]) -> Leaf:
    joined = {
        section: (*names, *(k for k in kinds.get(section, ()) if k not in names))
        for section, names in leaf.kinds.items()
    }
    return replace(leaf, kinds=joined)


def _is_path(field: FieldInfo) -> bool:
    marks = [*field.metadata, *(m for kind in get_args(field.annotation) for m in get_args(kind))]
    return PATH in marks


def _prune(tree: Tree, schema: type[BaseModel], prefix: str, foreign: dict[str, str]) -> Tree:
    kept: Tree = {}
    for name, value in tree.items():
        field = schema.model_fields.get(name)
        path = f"{prefix}{name}"
        if field is None or not isinstance(value, dict):
            kept[name] = value
            continue
        several = kinds_of(field)
        section = several.get(str(value.get("type"))) if several else section_of(field)
        if section is None:
            kept[name] = value
            continue
        inner: Tree = {}
        own = section.model_fields
        for key, leaf in value.items():
            # Asked of foreign keys alone: pydantic takes its time for `model_fields`.
            others = () if key in own else several.items()
            if owners := [k for k, other in others if key in other.model_fields]:
                foreign[f"{path}.{key}"] = ", ".join(shown_kinds(owners))
            else:
                inner[key] = leaf
        kept[name] = _prune(inner, section, f"{path}.", foreign)
    return kept


def _unwrap_annotation(annotation: Any) -> Any:
    """Return a type without `Annotated`, and without the `None` of an optional section."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is UnionType:
        present = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _unwrap_annotation(present[0]) if len(present) == 1 else annotation
    return annotation


def choices_of(schema: type[BaseModel], path: str) -> tuple[str, ...]:
    """Return the values that a `type` key may have; empty for other paths."""
    *parents, last = path.split(".")
    names: list[str] = []
    nodes: list[type[BaseModel]] = [schema]
    for parent in parents:
        fields = [node.model_fields[parent] for node in nodes if parent in node.model_fields]
        several = {name: kind for field in fields for name, kind in kinds_of(field).items()}
        names = list(several)
        single = [section for field in fields if (section := section_of(field)) is not None]
        nodes = [*several.values(), *single]
    if last == "type" and names:
        return tuple(names)
    for node in nodes:
        if last in node.model_fields:
            bare = _unwrap_annotation(node.model_fields[last].annotation)
            return tuple(map(str, get_args(bare))) if get_origin(bare) is Literal else ()
    return ()
