"""The one door to Ray: its import, and the connection to a cluster."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tunewright.config.components.ray_cluster import RayConfig
from tunewright.errors import ConfigError
from tunewright.executors.ray_cluster.probe import answers_as_grpc
from tunewright.runs.machine.free_cores import cores

NAMESPACE = "tunewright"
"""Of the actors' names in the cluster; `ray list actors` shows them."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Of a cluster that is started here: only paths and figures pass through it."""
CONNECT_SECONDS = 5.0
KEPT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
INSTALL = "pip install 'tunewright[ray]', in the environment of every node."
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no question, and nothing is sent
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no hint about it on the screen
    "RAY_DEDUP_LOGS": "0",
}


def load_ray() -> ModuleType:
    """Import Ray; raise ConfigError where it is not installed."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"executor.type=ray, and Ray cannot be imported ({error})", remedy=INSTALL
        ) from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def pickle_by_value(value: object) -> bytes:
    """Pickle a value; functions and classes of the main script go along whole."""
    from ray import cloudpickle

    return bytes(cloudpickle.dumps(value))  # type: ignore[no-untyped-call]


def own_node() -> str:
    """Return the id of the node on which this actor runs."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


@dataclass(frozen=True)
class Connection:
    """The membership of this process in a cluster.

    started: the cluster was started here and ends with it. shared: the program that called had
    connected itself, so it stays connected.
    """

    ray: Any
    started: bool
    shared: bool

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes that are alive, as Ray describes them."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    def close(self) -> None:
        """Disconnect; a cluster that was started here ends."""
        if not self.shared and self.ray.is_initialized():
            with _keep_signals():
                self.ray.shutdown()


def find_cluster(config: RayConfig) -> str | None:
    """Return the address of the running cluster that `config` means; None for a new one here.

    Raises ConfigError when nothing answers at HOST:PORT, or where RAY_ADDRESS points.
    """
    if config.address == "local":
        return None
    if config.address != "auto":
        _refuse_deaf(config.address, f"executor.ray.address = {config.address}")
        return config.address
    if (named := os.environ.get("RAY_ADDRESS", "")) and named not in ("auto", "local"):
        _refuse_deaf(named, f"executor.ray.address = auto, and RAY_ADDRESS = {named}")
        return named
    # Only clusters of `ray start`: those that programs start for themselves end with them.
    from ray._private.utils import read_ray_address

    noted = read_ray_address()
    try:
        return noted if noted and answers_as_grpc(*_split(noted), CONNECT_SECONDS) else None
    except OSError:  # of a cluster that is gone
        return None


def connect(config: RayConfig, *, room_for: float | None = None) -> Connection:
    """Connect to the cluster of `config`, or start one on this machine.

    room_for: the CPUs of a cluster that is started here; None for the cores of this machine.
    Raises ConfigError with what to do when that is impossible.
    """
    ray = load_ray()
    if ray.is_initialized():
        return Connection(ray, started=False, shared=True)
    address = find_cluster(config)
    settings: dict[str, Any] = {
        "namespace": NAMESPACE,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": False,
    }
    if address is None:
        cpus = float(cores()) if room_for is None else room_for
        settings |= {
            "address": "local",
            "num_cpus": cpus if cpus % 1 else int(cpus),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    else:
        settings["address"] = address
    # On a busy machine a new cluster may exceed the 30 s that Ray allows it, but seldom twice.
    for last in (address is not None, True):
        try:
            with _keep_signals(), _without_address():
                ray.init(**settings)
            break
        except (Exception, SystemExit) as error:
            if last:
                raise _unusable(address, error) from None
            with _keep_signals():
                ray.shutdown()
    return Connection(ray, started=address is None, shared=False)


def _refuse_deaf(address: str, said: str) -> None:
    host, port = _split(address)
    try:
        answers = answers_as_grpc(host, port, CONNECT_SECONDS)
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(
            f"{said}: no Ray cluster answers there ({why})",
            expected="the HOST:PORT that `ray start --head` printed",
            remedy="Start one there: ray start --head --port=6379; or leave the address out, which "
            "starts one on this machine.",
        ) from None
    if not answers:
        raise ConfigError(
            f"{said}: what answers there is no Ray cluster",
            expected="the HOST:PORT that `ray start --head` printed; the port of the dashboard "
            "(8265) is another",
        )


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise ConfigError(
            f"the Ray address {address}", expected="HOST:PORT, as `ray start --head` prints it"
        )
    return host.strip("[]"), int(port)


def _unusable(address: str | None, error: BaseException) -> ConfigError:
    text = " ".join(str(error).split())[:400]
    if address is None:
        return ConfigError(
            f"no Ray cluster could be started on this machine: {text}",
            remedy="executor.type=local runs trials on this machine without Ray.",
        )
    if "ersion mismatch" in text:
        return ConfigError(
            f"the Ray cluster at {address} has other versions than this process: {text}",
            expected="the same versions of Ray and Python on all nodes and here",
            remedy="Install the version of the cluster here, or this one there.",
        )
    return ConfigError(
        f"this process cannot join the Ray cluster at {address}: {text}",
        expected=f"that this host ({socket.gethostname()}) is a node of the cluster, if only one "
        "without CPUs",
        remedy=f"ray start --address={address} --num-cpus=0",
    )


@contextmanager
def _keep_signals() -> Iterator[None]:
    """Restore the handlers of signals: Ray replaces that of SIGTERM with one that exits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in KEPT_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextmanager
def _without_address() -> Iterator[None]:
    """Hide RAY_ADDRESS, which Ray would prefer to `address="local"`."""
    before = os.environ.pop("RAY_ADDRESS", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["RAY_ADDRESS"] = before


def source_paths() -> list[str]:
    """Return where this process imports from, for the workers of functions."""
    return [str(Path(entry).absolute()) for entry in sys.path if not entry or Path(entry).is_dir()]
