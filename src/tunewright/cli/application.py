"""The application with all commands, in the order in which `--help` lists them."""

from tunewright.cli import commands
from tunewright.cli.options import DATA, app
from tunewright.recipes.pairs.commands import app as pairs  # imports Typer and no more
from tunewright.recipes.retina.commands import app as retina

__all__ = ["app", "commands"]

app.add_typer(
    pairs,
    name="pairs",
    help="Prepare data for the recipe pairs: embed, split.",
    rich_help_panel=DATA,
)
app.add_typer(
    retina,
    name="retina",
    help="Prepare data for the recipe retina: build-lmdb, verify-lmdb.",
    rich_help_panel=DATA,
)
