"""Components by name: a YAML file can name only what is registered, or what a package offers.

Other packages offer components in entry-point groups such as `tunewright.pruners`. Their names are
known without importing them; a component is imported when it is used.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from tunewright.errors import ConfigError, did_you_mean

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[F]):
    """Functions registered under their own names: a decorator that reads like a mapping.

    Positional arguments of a component come from the program, keyword-only arguments from the
    configuration. `options` lists the latter, so that a test can compare a schema with a signature.
    group: the entry-point group in which other packages offer components; those registered here
    are found first, so that a package cannot replace one.
    """

    def __init__(self, what: str, group: str = "") -> None:
        self.what, self.group = what, group
        self._functions: dict[str, F] = {}

    def __call__(self, function: F) -> F:
        """Register `function` under its name."""
        name = function.__name__
        if name in self._functions:
            raise ValueError(f"the {self.what} {name!r} is registered twice")
        self._functions[name] = function
        return function

    @contextmanager
    def substitute(self, name: str, function: F) -> Iterator[None]:
        """Use another function under a name for as long as the block runs, as tests do."""
        known = self._functions.get(name)
        self._functions[name] = function
        try:
            yield
        finally:
            del self._functions[name]
            if known is not None:
                self._functions[name] = known

    def __getitem__(self, name: str) -> F:
        if name in self._functions:
            return self._functions[name]
        if name in self:
            plugin: F = load_plugin(self.group, name)
            if not callable(plugin):
                raise ConfigError(
                    f"the {self.what} {name!r} of {self.group} is a {type(plugin).__name__}",
                    expected="a function or a class",
                )
            return plugin
        raise ConfigError(
            f"{self.what} {name!r}",
            expected=f"one of {', '.join(sorted(self))}",
            remedy=did_you_mean(name, self),
        )

    def __iter__(self) -> Iterator[str]:
        yield from self._functions
        yield from (name for name in plugin_names(self.group) if name not in self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions or name in plugin_names(self.group)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def options(self, name: str) -> Mapping[str, Any]:
        """Return the keyword-only parameters of a component with their defaults."""
        return keyword_options(self[name])


def plugin_names(group: str) -> tuple[str, ...]:
    """Return the names that installed packages offer in an entry-point group, sorted."""
    return tuple(_plugins(group))


def load_plugin(group: str, name: str) -> Any:
    """Import and return the component `name` of a group.

    Raises ConfigError that names the entry point where it cannot be imported, or where two packages
    offer the same name; other names are not affected.
    """
    point, *others = _plugins(group)[name]
    if others:
        offers = " and ".join(map(_describe_point, (point, *others)))
        raise ConfigError(
            f"the name {name!r} is offered twice in {group}: {offers}",
            remedy="Uninstall one of the packages.",
        )
    try:
        return point.load()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{name!r} of {group} cannot be imported: {_describe_point(point)} raised "
            f"{type(error).__name__}: {reason}",
            remedy="Repair or uninstall that package.",
        ) from error


def keyword_options(component: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the keyword-only parameters of a component with their defaults."""
    parameters = inspect.signature(component).parameters.values()
    return MappingProxyType(
        {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    )


def refuse_options(owner: str, given: Collection[str], accepted: Mapping[str, Any]) -> str:
    """Return why a component cannot be called with the options `given`; empty if it can.

    owner: the component in words. accepted: its options with their defaults, and
    `inspect.Parameter.empty` for one that must be given. The reason reads after "expected".
    """
    known = f"{', '.join(accepted)}" if accepted else "none"
    unknown = [name for name in given if name not in accepted]
    if unknown:
        near = did_you_mean(unknown[0], accepted).replace("Did", "did")
        return f"options of {owner} ({known}), not {', '.join(unknown)}" + (near and f" ({near})")
    empty = inspect.Parameter.empty
    missing = [name for name, usual in accepted.items() if usual is empty and name not in given]
    return f"{', '.join(missing)} too, which {owner} needs" if missing else ""


@cache
def _plugins(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Return the entry points of a group by name; cached, since the packages are read for it."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=group) if group else ():
        found.setdefault(point.name, {})[_describe_point(point)] = (
            point  # once where a path is listed twice
        )
    return MappingProxyType({name: tuple(found[name].values()) for name in sorted(found)})


def _describe_point(point: EntryPoint) -> str:
    package = f" (package {point.dist.name})" if point.dist is not None else ""
    return f"the entry point {point.name} = {point.value}{package}"
