"""Write the reference pages of the site: commands, functions, and the keys of each recipe.

Everything is read off the code that it describes. Needs neither MkDocs nor torch.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import tunewright
from tunewright import recipes
from tunewright.cli import app
from tunewright.config.components.optimizers import OTHER_OPTIMIZERS, REFUSED
from tunewright.config.components.plugins import EXECUTORS, OPTIMIZERS, PluginSection
from tunewright.config.compose import compose
from tunewright.config.leaves import kinds_of, section_of
from tunewright.config.schema import PluginTracker
from tunewright.recipes.recipe import Recipe
from tunewright.registry import plugin_names

TYPES = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    NoneType: "null",
    dict: "mapping",
    list: "list",
    tuple: "list",
    Any: "anything",
}
BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def write_pages() -> dict[str, str]:
    """Return all reference pages in Markdown, by their path below `docs/`."""
    pages = {"reference/cli.md": write_cli(), "reference/python.md": write_api()}
    for recipe in shipped_recipes():
        pages[f"reference/config-{recipe.name}.md"] = write_config(recipe)
    return pages


def shipped_recipes() -> list[Recipe]:
    """Return the recipes that come with the package, by name; plugins are left out."""
    names = sorted(module.name for module in pkgutil.iter_modules(recipes.__path__) if module.ispkg)
    found = [importlib.import_module(f"tunewright.recipes.{name}.recipe") for name in names]
    return [module.RECIPE for module in found]


# The command line


def write_cli() -> str:
    """Return the page of all commands with their arguments and options."""
    lines = ["# Command line", "", "`tunewright COMMAND --help` prints the same.", ""]
    for name, command in _commands(typer.main.get_command(app), "tunewright"):
        lines += [f"## `{name}`", "", *_paragraphs(command.help or ""), *_parameters(name, command)]
    return "\n".join(lines).rstrip() + "\n"


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _parameters(name: str, command: Any) -> list[str]:
    context = command.context_class(command, info_name=name)
    lines = ["```text", " ".join([name, *command.collect_usage_pieces(context)]), "```", ""]
    records = [
        option.get_help_record(context)
        for option in command.params
        if option.param_type_name == "option"
    ]
    rows = [(f"`{flags}`", " ".join(meaning.split())) for flags, meaning in filter(None, records)]
    return [*lines, *_table(("option", "meaning"), rows), ""] if rows else lines


# The functions


def write_api() -> str:
    """Return the page of the public functions and what they return, for mkdocstrings to fill in."""
    lines = [
        "# Python functions",
        "",
        "Every command is a function of the same name. What it returns is frozen: a notebook "
        "shows it as a table, and `as_json()` is what `--json` prints.",
        "",
    ]
    for name in sorted(tunewright.__all__):
        lines += [f"::: tunewright.{name}", ""]
    lines += ["## What they return", ""]
    for name in sorted(returned_types(), key=lambda path: path.rpartition(".")[2]):
        lines += [f"::: {name}", "    options: {heading_level: 3, show_root_full_path: false}", ""]
    return "\n".join(lines).rstrip() + "\n"


def returned_types() -> set[str]:
    """Return the classes that the public functions return, as `module.name`."""
    found = set()
    for function in (getattr(tunewright, name) for name in tunewright.__all__):
        name = inspect.signature(function).return_annotation
        tree = ast.parse(inspect.getsource(importlib.import_module(function.__module__)))
        imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        found |= {f"{one.module}.{name}" for one in imports if name in [n.name for n in one.names]}
    return found


# The configuration


def write_config(recipe: Recipe) -> str:
    """Return the page of one recipe's keys: types, defaults, what they mean."""
    lines = [
        f"# Configuration of `{recipe.name}`",
        "",
        f"Defaults are those of `tunewright show {recipe.name}`, where no data is named; a section "
        "that exists in several kinds has its `type` in the heading, and kinds that are not the "
        "default one have the defaults of the schema. `null` means: not set.",
        "",
    ]
    if groups := _groups(recipe):
        lines += ["Files to choose from, as `GROUP=FILE`:", ""]
        lines += [*_table(("group", "files"), groups), ""]
    tree = {} if recipe.open_section else compose(recipe).tree
    for heading, section, values in _sections(recipe.config, "", tree):
        lines += [f"## {heading}", ""]
        description, meanings = read_docstring(section)
        if section is not recipe.config:
            lines += _paragraphs(description)
        if len(names := _types(section)) > 1:
            lines += [f"Its `type` is one of {', '.join(f'`{name}`' for name in names)}.", ""]
        rows = list(_rows(section, values, meanings))
        lines += [*_table(("key", "value", "default", "meaning"), rows), ""] if rows else []
    return "\n".join(lines).rstrip() + "\n"


def _groups(recipe: Recipe) -> list[tuple[str, str]]:
    found: dict[str, set[str]] = {}
    for folder in (recipe.conf, *recipe.groups):
        for file in folder.glob("*/*.yaml"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    return [
        (f"`{group}`", ", ".join(f"`{name}`" for name in sorted(names)))
        for group, names in sorted(found.items())
    ]


def _sections(
    section: type[BaseModel], path: str, tree: Mapping[str, Any], kind: str = ""
) -> Iterator[tuple[str, type[BaseModel], Mapping[str, Any]]]:
    """Yield the heading, the class and the composed values of a section and of all below it."""
    heading = f"`{path}`" if path else "Top level"
    yield f"{heading}, `type: {kind}`" if kind else heading, section, tree
    for name, field in section.model_fields.items():
        below = f"{path}.{name}".removeprefix(".")
        values = tree.get(name) or {}
        for cls in dict.fromkeys(kinds_of(field).values()):
            names = _types(cls)
            chosen = isinstance(values, Mapping) and values.get("type") in names
            if not issubclass(cls, PluginSection):
                kind = names[0] if len(names) == 1 else "..."
                yield from _sections(cls, below, values if chosen else {}, kind)
        if (single := section_of(field)) not in (None, PluginTracker):
            yield from _sections(single, below, values)


def _types(section: type[BaseModel]) -> tuple[str, ...]:
    """Return the usable names of a kind of section, without what installed packages offer."""
    field = section.model_fields.get("type")
    names = get_args(field.annotation) if field is not None else ()
    left_out = {*plugin_names(OPTIMIZERS), *plugin_names(EXECUTORS)} - {*OTHER_OPTIMIZERS}
    left_out |= {*REFUSED}
    return names if len(names) == 1 else tuple(name for name in names if name not in left_out)


def _rows(
    section: type[BaseModel], values: Mapping[str, Any], meanings: Mapping[str, str]
) -> Iterator[tuple[str, str, str, str]]:
    for name, field in section.model_fields.items():
        if name == "type" or kinds_of(field) or section_of(field) is not None:
            continue
        value = values[name] if name in values else _field_default(field)
        default = "" if value is PydanticUndefined else f"`{_yaml(value)}`"
        yield f"`{name}`", _type(field.annotation, field.metadata), default, meanings.get(name, "")


def _field_default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return str(value)


def _type(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Describe a type in words: `whole number >= 1 or null`."""
    bounds = " and ".join(
        f"{sign} {getattr(entry, name):g}"
        for entry in _flat(metadata)
        for name, sign in BOUNDS.items()
        if getattr(entry, name, None) is not None
    )
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *more = arguments
        return _type(inner, [*more, *metadata])
    if origin in (UnionType, Union):
        words = " or ".join(dict.fromkeys(_type(kind) for kind in arguments))
    elif origin is Literal:
        words = ", ".join(f"`{_yaml(value)}`" for value in arguments)
    elif origin in (tuple, list, frozenset, set):
        items = [kind for kind in arguments if kind is not Ellipsis]
        words = "list of " + " or ".join(dict.fromkeys(_type(kind) for kind in items))
    elif origin is not None:
        words = TYPES.get(origin, "mapping")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        words = "section"
    else:
        words = TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))
    return f"{words} {bounds}".rstrip()


def _flat(metadata: Sequence[Any]) -> Iterator[Any]:
    for entry in metadata:
        yield from _flat(entry.metadata) if isinstance(entry, FieldInfo) else (entry,)


def read_docstring(section: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return what the docstring of a section says of the whole, and of each key.

    Docstrings name keys as `epochs: ...` or `uri, experiment: ...` at the start of a sentence. What
    a base class says of a key that it brings holds too.
    """
    meanings: dict[str, str] = {}
    description = ""
    for cls in reversed(section.__mro__):
        if not (isinstance(cls, type) and issubclass(cls, BaseModel)) or not cls.model_fields:
            continue
        text = " ".join((cls.__dict__.get("__doc__") or "").split())
        marks = list(_marks(text, list(section.model_fields)))
        ends = [*(start for start, _, _ in marks[1:]), len(text)]
        for (_, names, begin), end in zip(marks, ends, strict=False):  # no marks, one end
            meanings |= dict.fromkeys(names, text[begin:end].strip().rstrip(";"))
        description = text[: marks[0][0]].strip() if marks else text
    return description, meanings


def _marks(text: str, keys: Sequence[str]) -> Iterator[tuple[int, list[str], int]]:
    """Yield where the keys of a docstring are named, which, and where their text begins."""
    for found in re.finditer(r"(?:^|(?<=[.;:)] ))([\w*]+(?:, [\w*]+)*): ", text):
        patterns = found[1].split(", ")
        names = [key for key in keys if any(fnmatchcase(key, each) for each in patterns)]
        if all(any(fnmatchcase(key, each) for key in keys) for each in patterns):
            yield found.start(), names, found.end()


# Markdown


def _paragraphs(text: str) -> list[str]:
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
    return [line for part in parts for line in (_escape(part), "")]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(_escape(cell) for cell in row)} |" for row in rows]


def _escape(text: str) -> str:
    """Keep a bar from ending a cell and an angle bracket from opening a tag, outside of code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    safe = [
        part if part.startswith("`") else part.replace("<", "&lt;").replace("*", "\\*")
        for part in parts
    ]
    return "".join(safe).replace("|", "\\|")
