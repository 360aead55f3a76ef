"""Offers the recipes under `tests/plugin` to this process and to all that it starts."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, settings
from optuna.storages import RDBStorage

# No verdict may hang on how busy the machine is; the same examples every time.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

PLUGIN = str(Path(__file__).parent / "plugin")

# Two test processes and their workers share the cores: a thread that waits for another by spinning
# takes the core which that one needs. Read by OpenMP when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# nohup lets a process ignore SIGHUP, and all that it starts; studies respect that, and the tests of
# a lost terminal would find nothing.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Worker processes and their forkserver read the environment, this process its own path. At
# import, since a forkserver that has started sees no later change.
sys.path.insert(0, PLUGIN)
os.environ["PYTHONPATH"] = os.pathsep.join([PLUGIN, *filter(None, [os.environ.get("PYTHONPATH")])])


def pytest_collection_finish() -> None:
    """What these modules imported never becomes garbage: no collection looks through it again."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Libraries that count what leaks find nothing left at the end."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """Keep what is cached, such as the embedded digits, out of the user's own home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def migrations():
    """Optuna reads all its migrations three times for each new database; here once for all.

    Without this a new database costs 0.16 s of CPU time in place of 0.04 s, and tests that make
    one each take 43 % longer (tests/search/study/test_trial_writer.py).
    """
    made, known = ScriptDirectory.from_config, {}

    def once(config):
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = made(config)
        return known[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", once)
        yield


@pytest.fixture
def optuna_storage() -> Iterator[Callable[[str], RDBStorage]]:
    """A database as Optuna's users open it; its connections are closed when the test ends.

    Optuna leaves them to the garbage collector, and Python 3.13 warns of each.
    """
    opened: list[RDBStorage] = []

    def storage(url: str) -> RDBStorage:
        opened.append(RDBStorage(url))
        return opened[-1]

    yield storage
    for each in opened:
        each.remove_session()
        each.engine.dispose()
