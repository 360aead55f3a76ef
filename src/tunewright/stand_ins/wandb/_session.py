"""The run and summary of the stand-in for W&B."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewright.stand_ins.wandb._config import SessionConfig


CLIENT = Path(__file__).parents[2] / "client.py"
"""Beside the package, since a script's environment need not have it."""


class NoServer(RuntimeError):
    """A call that needs W&B's server."""


class Session:
    """What a run tells and asks; a script's own study is that of its environment.

    params: the parameters of the trial, nested.
    """

    def __init__(self, params: Any) -> None:
        self.params = params

    def report(self, step: int, metrics: dict[str, float]) -> None:
        """Receive metrics of a step; several calls may name one step."""

    def summarise(self, metrics: dict[str, float]) -> None:
        """Receive metrics of the whole run."""

    def folder(self) -> str:
        """Return a folder for files of the run."""
        return tempfile.gettempdir()

    def name(self) -> str:
        """Return the name of the trial."""
        return "trial"


class ScriptSession(Session):
    """The study that has started this script, reached through the client."""

    def __init__(self, client: ModuleType) -> None:
        super().__init__(client.params())
        self._client = client

    def report(self, step: int, metrics: dict[str, float]) -> None:
        self._client.report(step, metrics)

    def summarise(self, metrics: dict[str, float]) -> None:
        self._client.report(None, metrics)

    def folder(self) -> str:
        return str(self._client.run_dir(tempfile.gettempdir()))

    def name(self) -> str:
        return Path(self.folder()).parent.name


def script_session() -> Session:
    """Return the study of this script's environment."""
    client = sys.modules.get("tunewright.client") or sys.modules.get("tunewright_client")
    if client is None:
        spec = importlib.util.spec_from_file_location("tunewright_client", CLIENT)
        assert spec is not None
        assert spec.loader is not None
        client = importlib.util.module_from_spec(spec)
        sys.modules["tunewright_client"] = client
        spec.loader.exec_module(client)
    return ScriptSession(client)


class ForgottenType(type):
    """Lets the class be used as its objects are: `wandb.plot.line(...)`."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls()


class Forgotten(metaclass=ForgottenType):
    """Takes every call and every attribute, and keeps nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        """Let errors pass."""

    def __iter__(self) -> Any:
        return iter(())

    def __bool__(self) -> bool:
        return False


class SessionSummary(dict):  # type: ignore[type-arg]
    """The summary of a run: the last value of each metric, and what the script sets."""

    def __init__(self, run: Any) -> None:
        super().__init__()
        self.__dict__["_run"] = run

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if self._run is not None and (numbers := flat_numbers({name: value})):
            self._run.session.summarise(numbers)

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def update(self, given: Any = None, **more: Any) -> None:  # type: ignore[override]
        """Set several values."""
        for name, value in {**(given or {}), **more}.items():
            self[name] = value

    def log(self, metrics: dict[str, Any]) -> None:
        """Keep the last values of what was logged, which the study knows."""
        super().update(metrics)


class SessionRun:
    """One run: counts its steps as W&B does, from 0."""

    def __init__(
        self, session: Session, config: SessionConfig, project: str, others: dict[str, Any]
    ) -> None:
        self.session, self.config, self.project = session, config, project
        self.summary = SessionSummary(self)
        self.name = str(others.get("name") or session.name())
        self.id = str(others.get("id") or session.name())
        self.group, self.job_type = others.get("group"), others.get("job_type")
        self.tags = tuple(others.get("tags") or ())
        self.entity, self.url, self.sweep_id = "", None, "tunewright"
        self.disabled, self.offline, self.resumed = False, True, False
        self.step, self._pending = 0, dict[str, Any]()
        self._told = False
        self.on_finish: Any = Forgotten()

    @property
    def dir(self) -> str:
        """A folder for files of the run."""
        return self.session.folder()

    def log(
        self,
        data: Any,
        step: int | None = None,
        commit: bool | None = None,
        **_: Any,
    ) -> None:
        """Report what is a number in `data`; see `wandb.SessionRun.log`.

        Values of one step come together. A step below the present one is left out, as W&B does.
        """
        if step is not None and step < self.step:
            if not self._told:
                self._told = True
                print(
                    f"wandb (Tunewright's stand-in): step {step} was logged after step "
                    f"{self.step} and is left out",
                    file=sys.stderr,
                )
            return
        if step is not None and step > self.step:
            self._flush()
            self.step = int(step)
        self.summary.log(data)
        self._pending.update(flat_numbers(data))
        if commit is None:
            commit = step is None
        if commit:
            self._flush()
            self.step += 1
        elif step is not None:
            self._flush()

    def finish(self, exit_code: int | None = None, **_: Any) -> None:
        """Report what is left; the run is over."""
        self._flush()
        self.on_finish()

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        if pending:
            self.session.report(self.step, pending)

    def __enter__(self) -> SessionRun:
        return self

    def __exit__(self, *_: Any) -> None:
        self.finish()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Forgotten()


def flat_numbers(data: Any, prefix: str = "") -> dict[str, float]:
    """Return the numbers in nested metrics by dotted name, of any library; others are left out.

    Blanks around a name do not belong to it.
    """
    numbers: dict[str, float] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            numbers.update(flat_numbers(value, f"{prefix}{name}."))
            continue
        item = getattr(value, "item", None)
        try:
            plain = item() if callable(item) and not isinstance(value, Forgotten) else value
            if isinstance(plain, (bool, int, float)):
                numbers[f"{prefix}{name}".strip()] = float(plain)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            continue
    return numbers
