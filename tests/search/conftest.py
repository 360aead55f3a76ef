"""What the tests of searches share; makes `shell_study` importable from the folders below."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from shell_study import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A study that is typed; none of its processes may outlive its coordinator."""
    made = Shell(tmp_path)
    yield made
    left = made.processes()
    for process in left:
        process.kill()
    assert left == [], "processes outlived their coordinator"
