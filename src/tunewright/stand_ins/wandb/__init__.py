"""Stands in for the package of Weights & Biases where a study calls a script that uses it.

`wandb.init`, `wandb.config`, `wandb.log`, `wandb.summary` and what belongs to them work: the
configuration is that of the trial, and what is logged is reported to the study while the script
runs. Pictures, tables, files and all else are taken and forgotten. Nothing is sent anywhere.

The standard library alone, since scripts have environments of their own.
"""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

    from tunewright.stand_ins.wandb._config import SessionConfig
    from tunewright.stand_ins.wandb._session import (
        Forgotten,
        NoServer,
        Session,
        SessionRun,
        SessionSummary,
        script_session,
    )
else:  # the package has two names: `wandb` in a script, which may know of no other
    _session = import_module("._session", __name__)
    Forgotten, NoServer, Session = _session.Forgotten, _session.NoServer, _session.Session
    SessionConfig = import_module("._config", __name__).SessionConfig
    SessionRun = _session.SessionRun
    SessionSummary, script_session = _session.SessionSummary, _session.script_session

__version__ = "0.22.0"
"""A version that scripts take for a present one; this package is Tunewright's."""
Run = SessionRun

CALLS = ("init", "log", "finish", "setup", "login", "sweep", "agent", "Api")
VALUES = ("run", "config", "summary")
FORGOTTEN = (
    "watch",
    "unwatch",
    "save",
    "define_metric",
    "log_artifact",
    "use_artifact",
    "log_code",
    "alert",
    "mark_preempting",
    "Image",
    "Table",
    "Histogram",
    "Video",
    "Audio",
    "Html",
    "Plotly",
    "Object3D",
    "Molecule",
    "Graph",
    "Artifact",
    "plot",
)
"""What a real package has as well, and what needs a run there."""


class _State:
    """The present run. modules: real packages whose names are those of this one meanwhile."""

    session: Session | None = None
    run: SessionRun | None = None
    config = SessionConfig({})
    summary = SessionSummary(None)
    modules: Sequence[ModuleType] = ()

    @classmethod
    def set(cls, run: SessionRun | None, config: SessionConfig, summary: SessionSummary) -> None:
        cls.run, cls.config, cls.summary = run, config, summary
        for module in cls.modules:
            for name in VALUES:
                setattr(module, name, getattr(cls, name))


def use(session: Session | None, modules: Sequence[ModuleType] = ()) -> None:
    """Report to this session from now on; None for that of the script's environment."""
    _State.session, _State.modules = session, modules
    params = session.params if session is not None else {}
    _State.set(None, SessionConfig(params), SessionSummary(None))


def init(project: Any = None, *_: Any, config: Any = None, **others: Any) -> SessionRun:
    """Begin a run: its configuration is that of the trial, over what the script gives."""
    finish()
    if _State.session is None:
        _State.session = script_session()
    own = SessionConfig(_State.session.params, config)
    run = SessionRun(_State.session, own, str(project or ""), others)
    run.on_finish = _leave
    _State.set(run, own, run.summary)
    return run


def log(data: Any = None, step: int | None = None, commit: bool | None = None, **_: Any) -> None:
    """Report what is a number in `data` to the study."""
    run = _State.run if _State.run is not None else init()
    run.log(data or {}, step=step, commit=commit)


def finish(exit_code: int | None = None, **_: Any) -> None:
    """End the run; further ones may begin."""
    if _State.run is not None:
        _State.run.finish(exit_code)


def _leave() -> None:
    """Let there be no present run; configuration and summary stay."""
    _State.set(None, _State.config, _State.summary)


def setup(*_: Any, **__: Any) -> Forgotten:
    """Prepare nothing."""
    return Forgotten()


def login(*_: Any, **__: Any) -> bool:
    """Return that the user may log; there is no server."""
    return True


def sweep(*_: Any, **__: Any) -> str:
    """Refuse: the sweep is the study that runs this script."""
    raise NoServer(
        "wandb.sweep in a script that a study runs: give the function and the sweep to the study, "
        "tunewright.tune(function, sweep_config, trials=20)"
    )


def agent(*_: Any, **__: Any) -> None:
    """Refuse, as `sweep` does."""
    sweep()


def Api(*_: Any, **__: Any) -> None:  # noqa: N802 (the name is W&B's)
    """Refuse: it asks the server of W&B."""
    raise NoServer(
        "wandb.Api asks the server of W&B, which the stand-in for wandb in a study does not "
        "reach; metrics.wandb=none leaves the real package in place"
    )


def __getattr__(name: str) -> Any:
    """Return the present run, or what takes every call and does nothing: `wandb.Image`."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_State, name) if name in VALUES else Forgotten


class _EveryModule:
    """Finds every module below this package, such as `wandb.sdk`: one that does nothing."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if not name.startswith("wandb.") or name == "wandb._session":
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> None:
        """Let Python make the module."""

    def exec_module(self, module: Any) -> None:
        module.__getattr__ = _forgotten


def _forgotten(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return Forgotten


if __name__ == "wandb":  # on the path of a script, in place of the package
    sys.meta_path.append(_EveryModule())
