"""Freed memory that stays with a process: no page faults in later steps, until it is returned."""

import os
import platform
import subprocess
import sys

import pytest

from tunewright.training.memory.freed import SET_BY_USER, keep_freed_memory

STEPS = """
import os, resource, sys
import numpy as np
from tunewright.training.memory.freed import keep_freed_memory, return_freed_memory
from tunewright.training.memory.peak import held_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory({})

def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(16 << 20, dtype=np.uint8) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults = [step() for _ in range(6)]
held = held_memory().private_mib
return_freed_memory()
print(faults[-1], held - held_memory().private_mib)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not the GNU C library")
def test_later_steps_get_their_memory_without_faults() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in SET_BY_USER}

    def measured(how: str) -> tuple[float, float]:
        child = [sys.executable, "-c", STEPS, how]
        done = subprocess.run(child, env=environment, capture_output=True, text=True, check=True)
        faults, returned = map(float, done.stdout.split())
        return faults, returned

    faults, returned = measured("keep")
    assert faults < 200  # 128 MiB are 32,768 pages
    assert returned > 100
    by_default, _ = measured("default")
    assert by_default > 10 * (faults + 1)


@pytest.mark.parametrize("name", SET_BY_USER)
def test_what_the_user_has_set_stays(name: str) -> None:
    assert not keep_freed_memory({name: "1"})
