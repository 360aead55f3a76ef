"""The declaration of `quadratic`: a curve that is computed, not trained, and faults on demand."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.dialect import Dialect
from tunewright.config.schema import Goals, RunConfig
from tunewright.config.section import NotNegative, Section
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent

Fault = Literal[
    "none",
    "diverged",
    "out of memory",
    "out of device memory",
    "error",
    "exit",
    "signal 9",
    "hang",
    "no goal",
    "full disk",
]


class Point(Section):
    """Where the quadratic is looked at; its optimum is (1, -2) on the side `right`."""

    x: Annotated[float, Field(ge=-5.0, le=5.0)] = -4.0
    y: Annotated[float, Field(ge=-5.0, le=5.0)] = 4.0
    side: Literal["left", "right"] = "right"


class Faults(Section):
    """What goes wrong from epoch `epoch` on, in the runs with x of at least `from_x`.

    first_attempts: attempts that go wrong; later ones do not. leak_mib: what the run never
    gives back to its process, whatever else happens.
    """

    kind: Fault = "none"
    epoch: int = 2
    from_x: float = -5.0
    first_attempts: int = 1_000_000
    leak_mib: int = 0


class QuadraticConfig(RunConfig):
    """Everything that can be set for `quadratic`."""

    recipe: Literal["quadratic"] = "quadratic"
    goal: Goals = "val_score"
    point: Point = Point()
    faults: Faults = Faults()
    epoch_seconds: NotNegative = 0.0


RECIPE = Recipe(
    name="quadratic",
    config=QuadraticConfig,
    conf=HERE / "conf",
    space=HERE / "space.yaml",
    metrics={"score": "max", "loss": "min"},
    run="practice.quadratic.run:run",
    dialect=Dialect(
        aliases={"x": "point.x", "y": "point.y"},
    ),
)
