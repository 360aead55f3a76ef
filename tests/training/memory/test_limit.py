"""A limit on the memory of a process, set in processes of their own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tunewright.training.memory.limit import limit_memory

HEAD = """
import resource
from pathlib import Path
import numpy as np
from tunewright.recipes.pairs.data.array_files import describe, map_rows
from tunewright.training.memory.peak import held_memory
from tunewright.training.memory import limit
limit._has_gpu = lambda: False
start = held_memory().private_mib

def takes(mib):
    try:
        return bool(np.ones(int(mib) * 2**20, np.uint8).all())
    except MemoryError:
        return False
"""


def run(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code, str(folder)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limit is Linux's")
class TestOnACpu:
    def test_it_is_set_from_where_the_process_stands_and_lifted(self, tmp_path: Path) -> None:
        run(
            """
before = resource.getrlimit(resource.RLIMIT_DATA)
with limit.limit_memory((start + 200) / 1024):
    assert takes(150)
    assert not takes(260)
    assert takes(150), "what failed has left nothing"
assert takes(260)
assert resource.getrlimit(resource.RLIMIT_DATA) == before
""",
            tmp_path,
        )

    def test_what_is_mapped_and_never_touched_does_not_count(self, tmp_path: Path) -> None:
        run(
            """
import mmap
unused = mmap.mmap(-1, 2**30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
with limit.limit_memory((start + 200) / 1024):
    assert takes(150)
    assert not takes(260)
""",
            tmp_path,
        )

    def test_a_mapped_data_set_does_not_count(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.ones((120, 2**18), np.float32))  # 120 MiB
        run(
            """
with limit.limit_memory((start + 80) / 1024):
    rows = map_rows(describe(Path("x.npy")), "c")
    assert rows[:, 0].sum() == 120
    assert takes(50)
    assert not takes(130)
""",
            tmp_path,
        )

    def test_a_limit_of_the_users_own_is_not_raised(self, tmp_path: Path) -> None:
        run(
            """
import re
mapped = int(re.search("VmData:(.*) kB", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (mapped + 100 * 2**20, resource.RLIM_INFINITY))
with limit.limit_memory(10.0):
    assert not takes(150)
""",
            tmp_path,
        )


def test_without_a_limit_nothing_is_touched() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limit_memory(None):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before
