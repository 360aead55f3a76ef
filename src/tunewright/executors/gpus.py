"""The GPUs of this machine that a study may use; asks nvidia-smi, never CUDA."""

import os
import re
import shutil
import subprocess
from itertools import takewhile

MIG = re.compile(r"^\s+MIG .*\(UUID:\s*(?P<id>MIG-[^)\s]+)\)")
GPU = re.compile(r"^GPU (?P<id>\d+):")


def visible_gpus() -> list[str]:
    """Return the ids of the CUDA devices this process may use, as CUDA_VISIBLE_DEVICES takes them.

    What that variable lists, up to the first -1, as CUDA reads it; else every GPU by its number,
    and in place of one that is divided (MIG) its parts by their UUIDs.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return list(takewhile(lambda gpu: gpu not in ("", "-1"), map(str.strip, chosen.split(","))))
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return []
    return listed_devices(listed.stdout)


def listed_devices(text: str) -> list[str]:
    """Return the devices in the output of `nvidia-smi -L`.

    Of GPU 0, and GPU 1 in two parts: 0, MIG-..., MIG-...
    """
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if (gpu := GPU.match(line)) is not None:
            found.append((gpu["id"], []))
        elif (part := MIG.match(line)) is not None and found:
            found[-1][1].append(part["id"])
    return [one for gpu, parts in found for one in (parts or [gpu])]
