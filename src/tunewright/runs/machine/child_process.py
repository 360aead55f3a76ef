"""Call a function in a child process: what imports torch stays out of the coordinator."""

import json
import subprocess
import sys
from importlib import import_module
from typing import Any

from tunewright import errors


def call_in_child(function: str, *arguments: Any) -> Any:
    """Return what `module:function` returns for `arguments`; all of them are plain JSON values.

    It runs in this process if torch is loaded already, else in a child. A TunewrightError of the
    function is raised again here. Raises RunError if the child fails otherwise.
    """
    module, _, name = function.partition(":")
    if sys.modules.get("torch") is not None:
        return getattr(import_module(module), name)(*arguments)
    request = {"path": sys.path, "module": module, "name": name, "arguments": arguments}
    child = subprocess.run(
        [sys.executable, "-c", _CHILD], input=json.dumps(request), capture_output=True, text=True
    )
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no word"])[-1]
        raise errors.RunError(f"{function} failed in a process of its own: {last}")
    kind, answer = json.loads(child.stdout.splitlines()[-1])
    if kind:
        came = answer.pop("came")
        raise getattr(errors, kind)(came, **answer)
    return answer


_CHILD = """
import json, sys
request = json.load(sys.stdin)
sys.path[:] = request["path"]
from importlib import import_module
from tunewright.errors import TunewrightError
try:
    function = getattr(import_module(request["module"]), request["name"])
    print(json.dumps(["", function(*request["arguments"])]))
except TunewrightError as error:
    parts = {name: getattr(error, name) for name in ("came", "expected", "where", "remedy")}
    print(json.dumps([type(error).__name__, parts]))
"""
