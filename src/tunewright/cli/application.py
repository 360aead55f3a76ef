"""The application with all commands, in the order in which `--help` lists them."""

from tunewright.cli.commands import study

# isort: split
from tunewright.cli.commands import run

# isort: split
from tunewright.cli.commands import classification

# isort: split
from tunewright.cli.commands import compression

# isort: split
from tunewright.cli.commands import models

# isort: split
from tunewright.cli.commands import augment
from tunewright.cli.options import DATA, app
from tunewright.recipes.pairs.commands import app as pairs  # imports Typer and no more

__all__ = ["app", "augment", "classification", "compression", "models", "run", "study"]

app.add_typer(
    pairs,
    name="pairs",
    help="Prepare data for the recipe pairs: embed, split.",
    rich_help_panel=DATA,
)
