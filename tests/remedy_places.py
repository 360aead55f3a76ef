"""List the places of the source that give a remedy, and which of them a run of tests provoked.

    python tests/remedy_places.py tests/test_remedies.py tests/remedies

A place is a call with `remedy=`, of an error or of what raises one. Provoked is what raised an
error with a remedy in this process; commands that a test starts as processes are not seen.
"""

import ast
import sys
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "tunewright"


def places() -> dict[tuple[str, int], range]:
    """Return the lines of each call with `remedy=`, by file and first line."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and any(k.arg == "remedy" for k in node.keywords):
                name = str(file.relative_to(SOURCE))
                found[name, node.lineno] = range(node.lineno, (node.end_lineno or 0) + 1)
    return found


class Recorder:
    """The lines from which errors with a remedy were made, with the callers of each."""

    def __init__(self) -> None:
        self.lines: Counter[tuple[str, int]] = Counter()

    def install(self) -> None:
        """Note each error of the program from now on."""
        from tunewright.errors import TunewrightError

        made = TunewrightError.__init__

        def noted(error: TunewrightError, *given: str, **named: str) -> None:
            made(error, *given, **named)
            if error.remedy:
                self.note(sys._getframe(1))

        TunewrightError.__init__ = noted

    def note(self, frame) -> None:
        """Count the call and what led to it, so that places that hand a remedy on count too."""
        while frame is not None:
            file = Path(frame.f_code.co_filename)
            if file.is_relative_to(SOURCE):
                self.lines[str(file.relative_to(SOURCE)), frame.f_lineno] += 1
            frame = frame.f_back


def provoked(lines: Counter[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return the places that contain one of these lines."""
    return {
        (file, first)
        for (file, first), within in places().items()
        if any(name == file and line in within for name, line in lines)
    }


def main() -> int:
    """Run pytest with the arguments of the command line, and print the places left."""
    import pytest

    recorder = Recorder()
    recorder.install()
    code = pytest.main(["-n", "0", "-q", "-m", "not gpu", "-p", "no:cacheprovider", *sys.argv[1:]])
    every, done = places(), provoked(recorder.lines)
    for file, first in sorted(every.keys() - done):
        print(f"{file}:{first}")
    print(f"{len(done)} of {len(every)} places with a remedy were provoked")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
