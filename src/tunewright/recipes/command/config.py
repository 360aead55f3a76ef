"""The configuration of `command`: the command, how its metrics are read, how it is stopped."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tunewright.config.schema import Goals, RunConfig
from tunewright.config.section import PathText, Positive, Section


def _patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"a regular expression ({error} in {pattern!r})") from None
        if not groups:
            raise ValueError(r"named groups, such as acc (?P<val_accuracy>[\d.]+)")
    return patterns


class MetricsConfig(Section):
    """How the metrics of a script are read; what the client reports is always read.

    output: which lines that it prints are read: JSON objects, pairs such as `loss=0.3`, both
    (`auto`), or none. pattern: regular expressions whose named groups are metrics, tried on each
    line before the others. file: a file that grows, or a folder of TensorBoard; placeholders as in
    the command. format: of the file (`auto` = by its suffix). step: the name of the step (null =
    epoch, step and the like). score: whether the best or the last report is a trial's score.
    wandb: what `import wandb` is in the script: a stand-in that reports to the study (`stand_in`),
    the real package without a network, of which the file is read (`offline`), or untouched
    (`none`).
    """

    output: Literal["auto", "json", "pairs", "none"] = "auto"
    pattern: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_patterns)] = ()
    file: PathText | None = None
    format: Literal["auto", "jsonl", "csv", "tensorboard"] = "auto"
    step: str | None = None
    score: Literal["best", "last"] = "best"
    wandb: Literal["stand_in", "offline", "none"] = "stand_in"


class ScriptConfig(Section):
    """How a script runs. shell: the command is one line for /bin/sh.

    directory: where it runs (null = where the study is started). program: what the placeholder
    `{program}` stands for. grace_seconds: from SIGTERM to SIGKILL when it is stopped. output_kib:
    how much of its output is kept, from the beginning and from the end.
    """

    shell: bool = False
    directory: PathText | None = None
    program: PathText | None = None
    grace_seconds: Positive = 10.0
    output_kib: Annotated[int, Field(ge=1)] = 1024


class CommandConfig(RunConfig):
    """Everything that can be set for `command`.

    command: the words of the command, with placeholders such as `{lr}`. env: variables of its
    environment, with placeholders. params: the parameters. metrics: how metrics are read. script:
    how it runs. training.epochs: the last step that it reports, and `{epochs}`.
    """

    recipe: Literal["command"] = "command"
    goal: Goals = ""
    command: Annotated[tuple[str, ...], Field(strict=False)] = ()
    env: dict[str, str] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    metrics: MetricsConfig = MetricsConfig()
    script: ScriptConfig = ScriptConfig()
