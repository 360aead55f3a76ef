"""Whether worker processes can import a function by its name."""

import ast
import pickle
import re
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any


def unreachable(function: Callable[..., Any]) -> str:
    """Return why a worker process cannot import `function`; empty if it can.

    A function of the main script is reached by importing the script again, which must not start
    the search again: the line that runs it must be under `if __name__ == "__main__":`.
    """
    try:
        pickled = pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        return "it has no importable name, like every lambda and inner function"
    if b"__main__" not in pickled:
        return ""
    if why := _started_apart(sys.modules["__main__"]):
        return why
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is None or not Path(script).is_file():
        return "it was defined in a notebook or at a prompt"
    guard = _guard(Path(script))
    if guard is None:
        return 'the script runs it without `if __name__ == "__main__":`'
    code = getattr(function, "__code__", None)
    if code is not None and code.co_firstlineno in guard:
        return 'it is defined under `if __name__ == "__main__":`'
    return ""


def _started_apart(main: ModuleType) -> str:
    """Return why `multiprocessing` cannot import the main module again; empty if it can.

    It finds the module by its specification, and leaves out the `__main__` of a package, folder or
    archive, whose import would start the whole program.
    """
    specification = getattr(main, "__spec__", "hidden")
    file = getattr(main, "__file__", None)  # of another type under pdb, which cannot be pickled
    if not isinstance(specification, ModuleSpec | None) or type(file) not in (str, type(None)):
        return "the script was started by a debugger, which hides it from other processes"
    name = "" if specification is None else specification.name
    if name.rpartition(".")[2] == "__main__":
        return "it was defined in the __main__.py of a package or folder; another file can hold it"
    return ""


def reference(function: Callable[..., Any]) -> str:
    """Return `module:qualname`, to show; a main script is named after its file."""
    named = function if hasattr(function, "__qualname__") else type(function)
    module = named.__module__
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or "__main__").stem
    return f"{module}:{named.__qualname__}"


def plain_name(function: Callable[..., Any]) -> str:
    """Return the last part of a function's name, as the name of its study."""
    return re.sub(r"\W", "", reference(function).rpartition(".")[2].rpartition(":")[2])


def _guard(script: Path) -> range | None:
    """Return the lines of the main guard that the script is running in now, or None."""
    line = _line_in_main(sys._getframe())
    try:
        tree = ast.parse(script.read_bytes())
    except (OSError, SyntaxError):
        return None
    for node in tree.body:
        if isinstance(node, ast.If) and any(
            isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
        ):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if line in lines:
                return lines
    return None


def _line_in_main(frame: FrameType | None) -> int | None:
    """Return the line that the main script is running; None outside the main thread."""
    main = vars(sys.modules["__main__"])
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is main:
            return frame.f_lineno
        frame = frame.f_back
    return None
