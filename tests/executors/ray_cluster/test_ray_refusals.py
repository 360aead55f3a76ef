"""What the executor on Ray refuses, and within which time."""

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from tunewright.config.schema import ExecutorConfig
from tunewright.errors import ConfigError
from tunewright.executors.ray_cluster.demand import SlotDemand, demand_of, refuse_impossible
from tunewright.executors.ray_cluster.open_cluster import cluster_share
from tunewright.executors.ray_cluster.slot_actor import SlotActor
from tunewright.executors.resources import share, threads_each

GPU_NODE = {"CPU": 32.0, "GPU": 4.0, "memory": 256.0 * 2**30, "node:10.0.0.2": 1.0}
CPU_NODE = {"CPU": 6.0, "memory": 16.0 * 2**30, "object_store_memory": 1e9}


def configured(threads: int | None = None, memory_gib: float | None = None, **ray: object):
    return ExecutorConfig(type="ray", threads=threads, memory_gib=memory_gib, ray=ray)


@pytest.fixture
def port() -> Iterator[int]:
    """A port where something listens that never answers."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        yield deaf.getsockname()[1]


@pytest.fixture(autouse=True)
def _no_named_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port", "http://h:8265", ""])
def test_addresses_of_other_kinds_are_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="auto, local, or HOST:PORT"):
        configured(address=address)


def test_settings_of_ray_belong_to_ray() -> None:
    with pytest.raises(ValidationError, match=r"ray\.num_gpus only with executor\.type=ray"):
        ExecutorConfig(type="local", ray={"num_gpus": 1.0})
    with pytest.raises(ValidationError, match=r"executor\.type=inline"):
        ExecutorConfig(type="inline", ray={"address": "local"})
    with pytest.raises(ValidationError, match="part of one GPU"):
        configured(num_gpus=1.5)


def test_without_ray_the_remedy_is_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'tunewright\[ray\]'"):
        share(configured(), None)


def test_an_address_without_a_cluster_is_refused_at_once(port: int) -> None:
    pytest.importorskip("ray")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = closed.getsockname()[1]
    with pytest.raises(ConfigError, match=r"no Ray cluster answers there .* ray start --head"):
        share(configured(address=f"127.0.0.1:{gone}"), 2)
    with pytest.raises(ConfigError, match=r"no Ray cluster answers there"):
        share(configured(address="no-such-host.invalid:6379"), None)


def test_what_answers_must_be_a_cluster(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr("tunewright.executors.ray_cluster.ray_door.CONNECT_SECONDS", 0.2)
    with pytest.raises(ConfigError, match="what answers there is no Ray cluster"):
        share(configured(address=f"127.0.0.1:{port}"), None)


def test_a_web_server_is_no_cluster() -> None:
    pytest.importorskip("ray")
    with socket.socket() as web:
        web.bind(("127.0.0.1", 0))
        web.listen()

        def answer() -> None:
            connection, _ = web.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server = threading.Thread(target=answer)
        server.start()
        with pytest.raises(ConfigError, match="no Ray cluster"):
            share(configured(address=f"127.0.0.1:{web.getsockname()[1]}"), None)
        server.join()


def test_a_new_cluster_on_this_machine_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr("tunewright.executors.ray_cluster.open_cluster.cores", lambda: 6)
    alone = share(configured(address="local"), None)
    assert (alone.slots, alone.threads, alone.follows) == (6, 1, True)
    assert alone.why == "a Ray cluster started on this machine, 6 CPU"
    wide = share(configured(address="local", num_cpus=2.0), None)
    assert (wide.slots, wide.threads) == (3, 2)
    asked = cluster_share(configured(address="local", num_cpus=4.0), 2)
    assert (asked.slots, asked.threads) == (2, 4)
    assert threads_each(configured(num_cpus=3.0)) == 3


def test_a_cluster_that_is_gone_is_replaced_by_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from ray._private import utils

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setattr(utils, "read_ray_address", lambda: gone)
    assert "started on this machine" in share(configured(), 2).why
    monkeypatch.setenv("RAY_ADDRESS", gone)
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS = 127.*no Ray cluster answers"):
        share(configured(), 2)


def test_a_slot_asks_for_what_the_nodes_suggest() -> None:
    demand = demand_of(configured(), [GPU_NODE, CPU_NODE])
    assert demand == SlotDemand(8.0, 1.0, 0, {})
    assert (demand.slots_on(GPU_NODE), demand.slots_on(CPU_NODE)) == (4, 0)
    quarter = demand_of(configured(num_gpus=0.25), [GPU_NODE])
    assert (quarter.cpus, quarter.slots_on(GPU_NODE)) == (2.0, 16)
    assert demand_of(configured(), [CPU_NODE]) == SlotDemand(1.0)
    assert demand_of(configured(threads=3), [CPU_NODE]).cpus == 3.0
    assert demand_of(configured(num_gpus=0.0), [GPU_NODE]).slots_on(GPU_NODE) == 32
    limited = demand_of(configured(memory_gib=6.0), [CPU_NODE])
    assert (limited.memory_bytes, limited.slots_on(CPU_NODE)) == (6 * 2**30, 2)
    assert demand_of(configured(memory_gib=6.0), [GPU_NODE]).memory_bytes == 0
    assert demand_of(configured(num_cpus=0.1), [CPU_NODE]).slots_on(CPU_NODE) == 60
    tpu = demand_of(configured(resources={"tpu": 2.0}), [CPU_NODE])
    assert tpu.options()["resources"] == {"tpu": 2.0}
    assert tpu.slots_on(CPU_NODE | {"tpu": 5.0}) == 2


def test_what_no_node_has_is_refused_with_what_they_have() -> None:
    nodes = [
        {"NodeManagerHostname": "a", "Resources": CPU_NODE},
        {"NodeManagerHostname": "b", "Resources": GPU_NODE},
    ]
    refuse_impossible(SlotDemand(32.0, 1.0), nodes)
    with pytest.raises(ConfigError) as refused:
        refuse_impossible(SlotDemand(8.0, 8.0, 2**30, {"tpu": 1.0}), nodes)
    text = str(refused.value)
    assert "asks for 8 CPU, 8 GPU, 1.0 GiB memory, 1 tpu for a worker" in text
    assert "a: 6 CPU, 16.0 GiB memory; b: 32 CPU, 4 GPU, 256.0 GiB memory" in text
    assert "autoscaling=true" in text
    with pytest.raises(ConfigError, match="the cluster has no node"):
        refuse_impossible(SlotDemand(1.0), [])


def test_an_actor_sees_only_what_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tunewright.executors.ray_cluster.slot_actor.SHARE_SECONDS", 0.2)
    file = tmp_path / "token"
    actor = SlotActor.__new__(SlotActor)
    assert not actor.sees(str(file), "secret")
    file.write_text("other")
    assert not actor.sees(str(file), "secret"), "the same path on a disk of its own"
    file.write_text("secret")
    assert actor.sees(str(file), "secret")
