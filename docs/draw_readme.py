"""Draw `docs/tune-pairs.svg`, the picture of the README: `python docs/draw_readme.py`."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

import tunewright
from tunewright.cli.output.results import print_tuned
from tunewright.cli.output.screen import ScreenCallback
from tunewright.search.callbacks import StudyProgress

PICTURE = Path(__file__).parent / "tune-pairs.svg"
WIDTH = 100
FRAME = 22
"""Trials that have ended when the live region is copied."""


class Copying(ScreenCallback):
    """Draw nowhere; keep the notices, the trial lines and one frame of the live region."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.notices: list[Text] = []
        self.trials: list[Text] = []
        self.frame: list[Text] = []

    def notice(self, text: str) -> None:
        """Keep a notice for the picture."""
        self.notices.append(Text.assemble(("note", "cyan"), f" {text}"))

    def on_report(
        self,
        number: int,
        step: int,
        last_step: int,
        metrics: Mapping[str, float],
        progress: Callable[[], StudyProgress],
    ) -> None:
        """Copy the frame when all workers have something to show."""
        super().on_report(number, step, last_step, metrics, progress)
        working = self.view.working.values()
        if len(self.trials) >= FRAME and not self.frame and all(w.step for w in working):
            self.on_progress(progress())
            self.frame = self.view.lines(WIDTH, 40)

    def _line(self, text: Text) -> None:
        self.trials.append(text)


def main() -> None:
    """Tune in a temporary folder and print what was seen into the picture."""
    with tempfile.TemporaryDirectory() as temporary, Path(os.devnull).open("w") as nowhere:
        os.chdir(temporary)
        with Copying(Console(width=WIDTH, file=nowhere, force_terminal=True)) as watch:
            tuned = tunewright.tune("pairs", watch=watch)
        console = Console(record=True, width=WIDTH, file=nowhere, highlight=False)
        console.print("[bold]$ tunewright tune pairs[/]")
        outlook = [text for text in watch.notices if " trials of " in text.plain]
        above = [*watch.notices[:2], *watch.trials[:3], *outlook, *watch.trials[FRAME - 3 : FRAME]]
        for line in [*above, *watch.frame]:
            line.truncate(WIDTH, overflow="ellipsis")
            console.print(line, no_wrap=True)
        console.print("...")
        print_tuned(console, tuned)
        svg = console.export_svg(title="tunewright tune pairs")
    # The style names the fonts, so none has to be downloaded.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


if __name__ == "__main__":
    main()
