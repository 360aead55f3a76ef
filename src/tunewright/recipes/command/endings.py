"""How a script ended, as the outcome of its run: a reason, and what the sampler learns."""

import re
import signal

from tunewright.runs.record import Cause, speaks_of_memory

NO_MEMORY_CODES = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""Exit codes of a script, or of a child that its shell waited for, that the kernel killed."""
_ERROR_LINE = re.compile(r"^\w[\w.]*(Error|Exception|Interrupt|Exit)\b.*|.*\berror\b.*", re.I)


def failure_of(code: int, output: str) -> tuple[Cause, str]:
    """Return the cause and the reason of an exit code other than 0.

    output: the last that the script printed. A kill that nobody here asked for is taken for lack of
    memory, which is by far its most frequent reason.
    """
    line = _last_error(output)
    said = f": {line}" if line else ""
    if code in NO_MEMORY_CODES:
        return "out of memory", (
            f"the script was killed by signal 9 (exit code {code}), as the kernel does where "
            f"memory runs out{said}"
        )
    if speaks_of_memory(output):
        return "out of memory", f"the script {_how(code)}{said}"
    return "error", f"the script {_how(code)}{said}"


def _how(code: int) -> str:
    number = -code if code < 0 else code - 128 if 128 < code < 160 else None
    if number is not None and number in set(signal.Signals):
        return f"was ended by signal {number} ({signal.Signals(number).name})"
    return f"ended with exit code {code}"


def _last_error(output: str) -> str:
    """Return the last line that tells of an error, else the last line."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", output) if line.strip()]
    told = [line for line in lines if _ERROR_LINE.match(line)]
    return (told or lines or [""])[-1][:300]
