"""What a script is started with: its words, its variables, and the files that it is told in."""

import hashlib
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tunewright.client import VARIABLE
from tunewright.recipes.command.config import CommandConfig
from tunewright.recipes.command.metrics.reader import ReaderContext
from tunewright.recipes.command.placeholders import (
    TrialValues,
    fill_shell,
    fill_text,
    fill_words,
)
from tunewright.recipes.command.script import ScriptStart
from tunewright.recipes.recipe import UNKNOWN_EPOCHS
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import RunFolder


@dataclass(frozen=True)
class Launch:
    """One attempt of a run's script. `output` is the script's own folder, `exchange` is ours."""

    folder: RunFolder
    config: CommandConfig
    attempt: int

    @property
    def output(self) -> Path:
        """The folder of the script's own files, which no other trial has."""
        return self.folder.path / "output"

    @property
    def exchange(self) -> Path:
        """The folder of what the script is told, and tells through the client."""
        return self.folder.path / "client"

    @property
    def reports(self) -> Path:
        """The file that the client writes."""
        return self.exchange / f"reports-{self.attempt}.jsonl"

    @property
    def values(self) -> TrialValues:
        """What stands in the place of placeholders."""
        config = self.config
        return TrialValues(
            config.params,
            config.seed,
            config.training.epochs,
            self.output,
            self.exchange,
            config.script.program,
        )

    def reader_context(self) -> ReaderContext:
        """Return what the readers of its metrics are made from."""
        file = self.config.metrics.file
        directory = Path(self.config.script.directory or ".")
        return ReaderContext(
            self.config.metrics,
            self.output,
            None if file is None else directory / fill_text(file, self.values),
            self.reports,
            self.config.params,
            again=self.attempt > 1,
        )

    def make_folders(self) -> None:
        """Make the folders of the script."""
        self.output.mkdir(exist_ok=True)
        self.exchange.mkdir(exist_ok=True)

    def start(self, of_readers: Mapping[str, str]) -> ScriptStart:
        """Write what the script is told, and return how it is started.

        of_readers: variables that the readers of its metrics ask for.
        """
        script = self.config.script
        return ScriptStart(
            self._words(),
            None if script.directory is None else Path(script.directory),
            self._environment(of_readers),
            mark_of(self.folder, self.attempt),
            script.grace_seconds,
        )

    def _words(self) -> list[str]:
        config, values = self.config, self.values
        if config.script.shell:
            return ["/bin/sh", "-c", fill_shell(" ".join(config.command), values, shlex.quote)]
        return fill_words(config.command, values)

    def _environment(self, of_readers: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of the script: the user's own, then what we set, then `env`."""
        config, epochs = self.config, self.config.training.epochs
        file = self.exchange / "trial.json"
        told = {
            "params": config.params,
            "seed": config.seed,
            "epochs": epochs if epochs != UNKNOWN_EPOCHS else None,
            "run_dir": str(self.output),
            "checkpoints": str(self.folder.checkpoints),
            "reports": str(self.reports),
            "request": str(self.folder.path / "request.json"),
            "attempt": self.attempt,
        }
        write_json(file, told)
        usual = {"PYTHONUNBUFFERED": "1"}  # so that lines arrive when they are printed
        if (torch := sys.modules.get("torch")) is not None:
            usual["OMP_NUM_THREADS"] = str(torch.get_num_threads())
        ours = {VARIABLE: str(file), "TUNEWRIGHT_RUN_DIR": str(self.output), **of_readers}
        own = {name: fill_text(text, self.values) for name, text in config.env.items()}
        return {**usual, **os.environ, **ours, **own}


def mark_of(folder: RunFolder, attempt: int) -> str:
    """Return the marker by which the processes of an attempt are found."""
    place = hashlib.sha256(os.fsencode(folder.path)).hexdigest()[:24]
    return f"{place}-{attempt}"
