"""Nested mappings and dotted paths: the two spellings of one configuration."""

from collections.abc import Mapping
from typing import Any

Tree = dict[str, Any]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{"a": {"b": 1}}` as `{"a.b": 1}`; an empty mapping stays a leaf."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def set_leaf(tree: Tree, path: str, value: Any) -> None:
    """Set a leaf, creating the mappings on the way to it; `value` is not copied."""
    *parents, leaf = path.split(".")
    for parent in parents:
        child = tree.get(parent)
        if not isinstance(child, dict):
            child = tree[parent] = {}
        tree = child
    if isinstance(value, Mapping) and isinstance(tree.get(leaf), dict):
        for key, inner in value.items():
            set_leaf(tree[leaf], str(key), inner)
    else:
        tree[leaf] = copy_tree(value) if isinstance(value, Mapping) else value


def get(tree: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """Return the value at a path, or `default`."""
    node: Any = tree
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return default
        node = node[key]
    return node


def at(path: str, tree: Mapping[str, Any]) -> Tree:
    """Return a new tree with `tree` at a path; at its root where that is empty."""
    placed = copy_tree(tree)
    for key in reversed(path.split(".") if path else []):
        placed = {key: placed}
    return placed


def drop(tree: Tree, path: str) -> None:
    """Remove a leaf or a branch if it exists."""
    *parents, leaf = path.split(".")
    node: Any = tree
    for parent in parents:
        node = node.get(parent)
        if not isinstance(node, dict):
            return
    node.pop(leaf, None)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Return a new tree: `below` with the leaves of `above` on it."""
    tree = copy_tree(below)
    for path, value in flatten(above).items():
        set_leaf(tree, path, value)
    return tree


def copy_tree(tree: Mapping[str, Any]) -> Tree:
    """Copy the mappings at all levels; leaves are shared."""
    return {
        key: copy_tree(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
    }
