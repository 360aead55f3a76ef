"""The configuration of a run of the stand-in for W&B."""

from __future__ import annotations

import os
from typing import Any


class SessionConfig:
    """The configuration of a run: attributes and keys; nested ones are below their first name."""

    def __init__(self, params: Any, given: Any = None) -> None:
        self.__dict__["_params"] = params
        self.__dict__["_own"] = {}
        for name, value in _as_dict(given).items():
            self._own[name] = _overlay(value, dict.get(params, name)) if name in params else value

    def __getitem__(self, name: str) -> Any:
        value = self._find(str(name))
        return NestedConfig(value) if isinstance(value, dict) else value

    def _find(self, name: str) -> Any:
        given = self._params.get(name)  # also where the script set it: the study is told of it
        if name in self._own:
            return self._own[name]
        if name in self._params:
            return given
        first, dot, rest = name.partition(".")
        if not dot or first not in self:
            raise KeyError(name)
        value = self[first]
        for part in rest.split("."):
            value = value[part]
        return value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the configuration has no {name!r}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        self._own[name] = value

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._params

    def __iter__(self) -> Any:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        try:
            return self[name]
        except KeyError:
            return default

    def keys(self) -> list[str]:
        """Return the names."""
        return list({**dict.fromkeys(self._own), **dict.fromkeys(self._params)})

    def items(self) -> list[tuple[str, Any]]:
        """Return the names and values."""
        return [(name, self[name]) for name in self.keys()]

    def values(self) -> list[Any]:
        """Return the values."""
        return [self[name] for name in self.keys()]

    def as_dict(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return dict(self.items())

    def update(self, given: Any = None, allow_val_change: bool | None = None, **more: Any) -> None:
        """Set values; those of the trial stand."""
        for name, value in {**_as_dict(given), **more}.items():
            if name not in self._params:
                self._own[name] = value

    def setdefaults(self, given: Any) -> None:
        """Set the values that are not there."""
        for name, value in _as_dict(given).items():
            if name not in self:
                self._own[name] = value


class NestedConfig(dict):  # type: ignore[type-arg]
    """A part of the configuration, with attributes as well."""

    def __init__(self, values: Any) -> None:
        super().__init__(
            {k: NestedConfig(v) if isinstance(v, dict) else v for k, v in values.items()}
        )

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(name)


def _as_dict(given: Any) -> dict[str, Any]:
    """Return what a script gives as a configuration: a mapping, or the result of argparse."""
    if given is None or isinstance(given, (str, os.PathLike)):
        return {}
    if isinstance(given, SessionConfig):
        return given.as_dict()
    found = given if hasattr(given, "keys") else vars(given)
    return {str(name): found[name] for name in found}


def _overlay(below: Any, above: Any) -> Any:
    """Return nested values with others over them."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{name: _overlay(below.get(name), above[name]) for name in above}}
    return above
