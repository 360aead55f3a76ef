"""Report from a script to the study that started it; needs no more than the standard library.

This file may be copied beside a script, into an environment without Tunewright. Outside of a study
`params` returns its defaults, and the others do nothing::

    import tunewright.client as tw

    params = tw.params(lr=0.1)
    for epoch in range(1, 11):
        ...
        tw.report(epoch, val_accuracy=accuracy)
"""

from __future__ import annotations

import json
import os
import time

TYPE_CHECKING = False  # that of `typing`, whose import would take longer than all else here
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

VARIABLE = "TUNEWRIGHT_CLIENT"
"""Environment variable with the name of the file that describes the trial."""
CHECK_SECONDS = 0.05
"""How often the study's request to stop is looked for at most."""


class Stop(SystemExit):
    """Ends the script where the study asks for it; no Exception, since scripts catch those."""


class Params(dict):  # type: ignore[type-arg]
    """The parameters of a trial, nested where their names have dots.

    `params["optim.lr"]` is `params["optim"]["lr"]`. Which of them are read is told to the study.
    """

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        nested = {
            name: Params(value, f"{prefix}{name}.") if isinstance(value, dict) else value
            for name, value in values.items()
        }
        super().__init__(nested)
        self._prefix = prefix

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if not isinstance(value, Params):
            _Trial.current().asked(self._prefix + name)
        return value

    def __missing__(self, name: str) -> Any:
        first, dot, rest = str(name).partition(".")
        if dot and isinstance(inner := super().get(first), Params):
            return inner[rest]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()  # overridden, so that dict(params) reads each item

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter, or the default where the trial has none of this name."""
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> Any:
        """Return the names and values."""
        return {name: self[name] for name in self}.items()

    def values(self) -> Any:
        """Return the values."""
        return dict(self.items()).values()


def in_study() -> bool:
    """Return whether a study has started this script."""
    return bool(_Trial.current().told)


def params(defaults: Mapping[str, Any] | None = None, /, **more: Any) -> Params:
    """Return the parameters of this trial over the defaults; outside of a study the defaults."""
    values = {**(defaults or {}), **more}
    _lay(values, _Trial.current().told.get("params", {}))
    return Params(values)


def report(
    step: int | None = None, metrics: Mapping[str, Any] | None = None, /, **more: Any
) -> None:
    """Report metrics after `step` steps, counted over the whole run.

    step: None for metrics of the whole run. Raises Stop where the study wants the script to end:
    it prunes or pauses the trial. Of several processes (RANK) the first reports.
    """
    trial = _Trial.current()
    if not trial.told:
        return
    numbers = {
        str(name): number
        for name, value in {**(metrics or {}), **more}.items()
        if (number := _number(value)) is not None
    }
    if int(os.environ.get("RANK") or 0) == 0:
        trial.tell({"step": None if step is None else int(step), "metrics": numbers})
    trial.count(step)
    if should_stop():
        raise Stop(0)


def should_stop() -> str:
    """Return `prune`, `pause` or `cancel` where the study wants the script to end; else empty.

    For loops that cannot be left by the exception that `report` raises.
    """
    return _Trial.current().request()


def checkpoint_dir(default: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the folder whose files survive a pause or a kill; outside of a study the default.

    A script that finds its own state there goes on from it. The folder is removed when the trial
    has ended, unless it is the best one.
    """
    from pathlib import Path

    trial = _Trial.current()
    if not trial.told:
        return None if default is None else Path(default)
    trial.tell({"checkpoints": True})
    folder = Path(trial.told["checkpoints"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_dir(default: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the folder of this trial's own files; outside of a study the default."""
    from pathlib import Path

    told = _Trial.current().told
    where = told["run_dir"] if told else default
    return None if where is None else Path(where)


def seed(default: int = 0) -> int:
    """Return the seed of this run; outside of a study the default."""
    return int(_Trial.current().told.get("seed", default))


def epochs(default: int = 1) -> int:
    """Return how many epochs the trial may train; the default outside of a study.

    It is the default as well where the study does not set `training.epochs`.
    """
    return int(_Trial.current().told.get("epochs") or default)


class _Trial:
    """What the study has told about this trial, and the file that it is told back in."""

    _known: tuple[str, _Trial] | None = None

    def __init__(self, file: str) -> None:
        self.told: dict[str, Any] = {}
        self._descriptor, self._checked, self._asked = -1, 0.0, set[str]()
        self._step = self._after = 0  # reported last; after which a request is known to hold
        if file:
            try:
                with open(file, encoding="utf-8") as stream:  # noqa: PTH123 (imports pathlib)
                    self.told = json.load(stream)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                self._descriptor = os.open(self.told["reports"], flags, 0o666)
            except (OSError, ValueError, KeyError):
                self.told = {}  # the study is gone

    @classmethod
    def current(cls) -> _Trial:
        file = os.environ.get(VARIABLE, "")
        if cls._known is None or cls._known[0] != file:
            cls._known = (file, cls(file))
        return cls._known[1]

    def tell(self, line: Mapping[str, Any]) -> None:
        """Append a line; one write, so that those of several processes do not mix."""
        if self.told:
            os.write(self._descriptor, (json.dumps(line) + "\n").encode())

    def count(self, step: int | None) -> None:
        """Note a reported step; requests may hold after one only."""
        self._step = self._step + 1 if step is None else int(step)

    def asked(self, name: str) -> None:
        if name not in self._asked:
            self._asked.add(name)
            self.tell({"asked": [name]})

    def request(self) -> str:
        now = time.monotonic()
        due = now - self._checked >= CHECK_SECONDS or 0 < self._after <= self._step
        if not self.told or not due:
            return ""
        self._checked = now
        try:
            with open(self.told["request"], encoding="utf-8") as stream:  # noqa: PTH123
                request = json.load(stream)
        except (OSError, ValueError):
            return ""
        meant = request.get("attempt") == self.told["attempt"]
        self._after = request.get("after", 0) if meant else 0
        return str(request["kind"]) if meant and self._after <= self._step else ""


def _lay(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Lay nested values over others."""
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(name), dict):
            below[name] = dict(below[name])
            _lay(below[name], value)
        else:
            below[name] = value


def _number(value: Any) -> float | None:
    """Return a number of any library as a float; None for anything else."""
    item = getattr(value, "item", None)  # NumPy, torch
    try:
        return float(item() if callable(item) else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
