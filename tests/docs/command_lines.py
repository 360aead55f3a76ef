"""Commands as they stand in a page, parsed as the command line does."""

import shlex
from typing import Any

import typer

from tunewright.cli import app
from tunewright.recipes.pairs.commands import app as pairs_app
from tunewright.recipes.retina.commands import app as retina_app
from tunewright.request import ParsedRequest, parse_request
from tunewright.typed_arguments import Configs

COMPOSE = ("tune", "plan", "space", "train", "show", "schedule", "lr-find", "augment")
"""Commands whose words are overrides."""

GROUPS = {"pairs": pairs_app, "retina": retina_app}
"""Commands of a recipe, by its name."""

STUDIES = ("first", "runs/first")
"""A study that the pages go on with; its configuration is in its folder."""


def parsed(command: str, *, compose: bool = True) -> ParsedRequest | None:
    """Parse a command up to the point where work would begin.

    compose: check its configuration keys too; None where there are none to check.
    """
    words = shlex.split(command)[1:]
    own = words[0] in GROUPS
    group: Any = typer.main.get_command(GROUPS.get(words[0], app))
    name, *arguments = words[1:] if own else words
    given = dict(group.commands[name].make_context(name, arguments).params)
    if name not in COMPOSE or not compose:
        return None
    if given.get("resume") or (given.get("from_") and not given["words"]):
        return None  # the recipe is that of the run, or of the other study
    if given["words"] and given["words"][0] in STUDIES:
        return None
    settings = {f"study.{key}": given.get(key) for key in ("trials", "jobs", "timeout", "storage")}
    return parse_request(
        [*filter(None, [given.get("recipe")]), *(given["words"] or [])],
        command=name,
        settings=settings if name == "tune" else {},
        configs=Configs(given.get("config"), given.get("config_dir"), given.get("config_name")),
        space=given.get("space"),
    )
