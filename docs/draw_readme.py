"""Draw `docs/tune-pairs.svg`, the picture of the README: `python docs/draw_readme.py`."""

import os
import re
import tempfile
from pathlib import Path

from rich.console import Console

import tunewright
from tunewright.cli.output import print_tuned
from tunewright.cli.screen import ScreenWatch

PICTURE = Path(__file__).parent / "tune-pairs.svg"
WIDTH = 100


def main() -> None:
    """Tune in a temporary folder and print what was seen into the picture."""
    with tempfile.TemporaryDirectory() as temporary, Path(os.devnull).open("w") as nowhere:
        os.chdir(temporary)
        console = Console(record=True, width=WIDTH, file=nowhere, highlight=False)
        console.print("[bold]$ tunewright tune pairs[/]")
        with ScreenWatch(console) as watch:
            tuned = tunewright.tune("pairs", watch=watch)
        said = console.export_text().splitlines()  # and forgotten: too long for a picture
        trials = [line for line in said if "/40 trial" in line]
        for line in [*said[:3], "...", *trials[:5], "...", *trials[-3:], said[-1]]:
            console.print(line[:WIDTH], markup=False)
        print_tuned(console, tuned)
        svg = console.export_svg(title="tunewright tune pairs")
    # The faces are named in the style, so no font need be fetched from anywhere.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


if __name__ == "__main__":
    main()
