"""The configuration of `function`; its parameters are the caller's own, so any are accepted."""

from typing import Any, Literal

from pydantic import Field

from tunewright.config.schema import Goals, RunConfig


class FunctionConfig(RunConfig):
    """Everything that can be set for `function`.

    function: `module:qualname`, shown and compared, never imported. params: the parameters that
    the function is called with. training.epochs: the last step that it reports.
    """

    recipe: Literal["function"] = "function"
    goal: Goals = "value"
    function: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
