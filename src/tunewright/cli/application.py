"""All commands together, in the order in which `--help` lists them."""

from tunewright.cli import study

# isort: split
from tunewright.cli import run

# isort: split
from tunewright.cli import deliver

# isort: split
from tunewright.cli import compress

# isort: split
from tunewright.cli import bd_rate

# isort: split
from tunewright.cli import models

# isort: split
from tunewright.cli import augment
from tunewright.cli.options import app
from tunewright.recipes.pairs.commands import app as pairs  # imports Typer and no more

__all__ = ["app", "augment", "bd_rate", "compress", "deliver", "models", "run", "study"]

app.add_typer(pairs, name="pairs", help="Data for the recipe pairs: embed, split.")
