"""Components by name: a YAML file can name only what is registered."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from tunewright.errors import ConfigError, did_you_mean

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[F]):
    """Functions registered under their own names: a decorator that reads like a mapping.

    Positional arguments of a component come from the program, keyword-only arguments from the
    configuration. `options` lists the latter, so that a test can compare a schema with a signature.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._functions: dict[str, F] = {}

    def __call__(self, function: F) -> F:
        """Register `function` under its name."""
        name = function.__name__
        if name in self._functions:
            raise ValueError(f"the {self.what} {name!r} is registered twice")
        self._functions[name] = function
        return function

    def __getitem__(self, name: str) -> F:
        if name not in self._functions:
            raise ConfigError(
                f"{self.what} {name!r}",
                expected=f"one of {', '.join(sorted(self._functions))}",
                remedy=did_you_mean(name, self._functions),
            )
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __len__(self) -> int:
        return len(self._functions)

    def options(self, name: str) -> Mapping[str, Any]:
        """Return the keyword-only parameters of a component with their defaults."""
        parameters = inspect.signature(self[name]).parameters.values()
        return MappingProxyType(
            {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        )
