"""List the places of the source that give a remedy, and which of them a run of tests provoked.

    python tests/remedy_places.py tests/test_remedies.py tests/remedies

A place is a call with `remedy=`, of an error or of what raises one. Provoked is what raised an
error with a remedy in this process, or in one that was started from it and sees its environment.
What was seen so far stands in the file that the first line names, for those who do not wait.
"""

import ast
import os
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "tunewright"
SEEN = "TUNEWRIGHT_REMEDIES_SEEN"
"""Names the file in which every process writes the lines that it has seen."""
HOOK = "import remedy_places\n\nremedy_places.watch()\n"


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
    """The lines from which errors with a remedy were made, with the callers of each.

    file: takes each line when it is first seen; processes append to it side by side.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: set[tuple[str, int]] = set()

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
        """Note the call and what led to it, so that places that hand a remedy on count too."""
        found = set()
        while frame is not None:
            file = Path(frame.f_code.co_filename)
            if file.is_relative_to(SOURCE):
                found.add((str(file.relative_to(SOURCE)), frame.f_lineno))
            frame = frame.f_back
        new = found - self.lines
        self.lines |= new
        with self.file.open("a", encoding="utf-8") as seen:
            seen.write("".join(f"{name}:{line}\n" for name, line in sorted(new)))


def watch() -> None:
    """Note the errors of this process, where a run of tests asks for it."""
    if SEEN in os.environ:
        Recorder(Path(os.environ[SEEN])).install()


def ask_processes(folder: Path) -> Path:
    """Make the processes that start from now on note their errors; return the file they fill."""
    seen = folder / "seen"
    seen.touch()
    (folder / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    os.environ[SEEN] = str(seen)
    paths = [str(folder), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return seen


def read(seen: Path) -> set[tuple[str, int]]:
    """Return the lines that the processes wrote."""
    rows = [row.rpartition(":") for row in seen.read_text(encoding="utf-8").splitlines()]
    return {(name, int(line)) for name, _, line in rows}


def provoked(lines: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return the places that contain one of these lines."""
    return {
        (file, first)
        for (file, first), within in places().items()
        if any(name == file and line in within for name, line in lines)
    }


def main() -> int:
    """Run pytest with the arguments of the command line, and print the places left."""
    import pytest

    seen = ask_processes(Path(tempfile.mkdtemp(prefix="remedies-")))
    print(f"Lines seen are noted in {seen}.", flush=True)
    watch()
    code = pytest.main(["-n", "0", "-q", "-m", "not gpu", "-p", "no:cacheprovider", *sys.argv[1:]])
    every, done = places(), provoked(read(seen))
    for file, first in sorted(every.keys() - done):
        print(f"{file}:{first}")
    print(f"{len(done)} of {len(every)} places with a remedy were provoked")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
