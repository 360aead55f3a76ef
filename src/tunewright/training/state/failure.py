"""Why a training failed: the kind that is counted, and the reason for the user."""

import errno
import re

import torch

from tunewright.errors import Diverged, OutOfMemory, TaskWeightsCollapsed, TunewrightError
from tunewright.runs.record import Cause, speaks_of_memory
from tunewright.training.ranks.team import RankLost

_ASKED = re.compile(r"allocate:? ((?P<size>[\d.]+ [KMGTP]iB)|(?P<bytes>\d+) bytes)")
_FREE = re.compile(r"of which (?P<size>[\d.]+ [KMGTP]iB) is free")


def cause_of(error: BaseException) -> Cause:
    """Return the kind of failure: it is counted, and it decides what the sampler learns."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, RankLost):
        return error.cause
    if isinstance(error, TaskWeightsCollapsed):
        return "task weights collapsed"
    if isinstance(error, OutOfMemory | MemoryError | torch.OutOfMemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return "out of memory"
    if isinstance(error, RuntimeError) and speaks_of_memory(str(error)):
        return "out of memory"
    return "error"


def reason_of(error: BaseException) -> str:
    """Return the error as one line of text for the user."""
    text = " ".join(str(error).split())
    if cause_of(error) == "out of memory" and not isinstance(error, TunewrightError):
        return _memory_reason(text)
    return text if isinstance(error, TunewrightError) else f"{type(error).__name__}: {text}"[:500]


def _memory_reason(text: str) -> str:
    """Return what was asked for and where, without torch's settings, addresses and frames."""
    where = "GPU" if "cuda" in text.lower() else "machine"
    if (asked := _ASKED.search(text)) is None:
        return f"the {where} could not give the memory that was asked for"
    size = float(asked["bytes"]) / 2**20 if asked["bytes"] else 0.0
    more = f"{size:,.0f} MiB" if size else asked["size"]
    free = _FREE.search(text)
    there = f", and {free['size']} are free" if free is not None and where == "GPU" else ""
    return f"{more} more were asked for on the {where}{there}"
