"""Sections of components that installed packages offer, by the names of their entry points."""

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal, Union, get_args

from pydantic import BaseModel, Field, ValidationInfo, create_model, field_validator

from tunewright.config.section import Options, Section
from tunewright.registry import keyword_options, load_plugin, plugin_names, refuse_options

SAMPLERS, PRUNERS = "tunewright.samplers", "tunewright.pruners"
OPTIMIZERS, SCHEDULES = "tunewright.optimizers", "tunewright.schedules"
TRACKERS, EXECUTORS = "tunewright.trackers", "tunewright.executors"
"""Entry-point groups."""


class PluginSection(Section):
    """A component that an installed package offers. options: its keyword arguments.

    Validating the options imports the component, to compare them with its signature.
    """

    group: ClassVar[str]
    what: ClassVar[str]
    type: str
    options: Options = Field(default_factory=dict, validate_default=True)

    @field_validator("options")
    @classmethod
    def _fitting(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if name := info.data.get("type"):
            refuse_plugin_options(cls.group, name, options, what=cls.what)
        return options


def refuse_plugin_options(group: str, name: str, options: dict[str, Any], *, what: str) -> None:
    """Raise ValueError for options that the component `name` of a group does not take.

    Imports the component: raises ConfigError where that fails.
    """
    accepted = keyword_options(load_plugin(group, name))
    if reason := refuse_options(f"the {what} {name}", options, accepted):
        raise ValueError(reason)


def options_of(section: BaseModel, *, own: Collection[str] = ()) -> dict[str, Any]:
    """Return the keyword arguments that a section has for its component.

    own: keys that are not the component's.
    """
    if isinstance(section, PluginSection):
        return section.options
    names = type(section).model_fields.keys() - {"type", *own}
    return {name: getattr(section, name) for name in names}


def with_plugins(shipped: Any, plugin: type[PluginSection]) -> Any:
    """Return the union of the shipped kinds of a section and of those that packages offer.

    A name that is shipped stays the shipped one.
    """
    kinds = get_args(shipped)
    taken = {name for kind in kinds for name in get_args(kind.model_fields["type"].annotation)}
    names = tuple(name for name in plugin_names(plugin.group) if name not in taken)
    if names:
        offered = create_model(
            plugin.__name__,
            __base__=plugin,
            __doc__=plugin.__doc__,
            __module__=plugin.__module__,
            type=(Literal[names], ...),  # type: ignore[arg-type]
        )
        kinds = (*kinds, offered)
    return Annotated[Union[kinds], Field(discriminator="type")]  # noqa: UP007 (made at run time)
