"""What a slot asks of a cluster, and how many slots its nodes have room for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.config.components.executors import ExecutorConfig
from tunewright.errors import ConfigError

PART = 1e-4
"""The smallest part of a resource that Ray counts."""


@dataclass(frozen=True)
class SlotDemand:
    """What Ray reserves for a slot. memory_bytes: 0 reserves none. custom: by the user's names."""

    cpus: float
    gpus: float = 0.0
    memory_bytes: int = 0
    custom: Mapping[str, float] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Return it as options of an actor."""
        wanted: dict[str, Any] = {"num_cpus": _whole(self.cpus), "num_gpus": _whole(self.gpus)}
        if self.memory_bytes:
            wanted["memory"] = self.memory_bytes
        return wanted | {"resources": dict(self.custom)}

    def slots_on(self, resources: Mapping[str, float]) -> int:
        """Return how many slots a node with these resources has room for."""
        return int(
            min(
                math.floor(resources.get(name, 0.0) / amount + PART)
                for name, amount in self._amounts().items()
                if amount
            )
        )

    def describe(self) -> str:
        """Return it as text ("1 CPU, 0.5 GPU")."""
        return _describe(self._amounts())

    def _amounts(self) -> dict[str, float]:
        return {
            "CPU": self.cpus,
            "GPU": self.gpus,
            "memory": float(self.memory_bytes),
            **self.custom,
        }


def demand_of(config: ExecutorConfig, nodes: Sequence[Mapping[str, float]]) -> SlotDemand:
    """Return what a slot asks for; what the configuration leaves open follows from the nodes.

    nodes: the resources of each. A node with GPUs gives one to each slot, with its share of the
    cores.
    """
    ray = config.ray
    with_gpus = [node for node in nodes if node.get("GPU", 0.0) > 0.0]
    gpus = (1.0 if with_gpus else 0.0) if ray.num_gpus is None else ray.num_gpus
    cpus = ray.num_cpus
    if cpus is None:
        shares = [node.get("CPU", 0.0) * gpus / node["GPU"] for node in with_gpus] if gpus else []
        cpus = float(config.threads or max(1, math.floor(min(shares, default=1.0))))
    reserved = ray.memory_gib or (None if gpus else config.memory_gib)
    return SlotDemand(cpus, gpus, int((reserved or 0.0) * 2**30), ray.resources)


def threads_of(config: ExecutorConfig, demand: SlotDemand) -> int:
    """Return the CPU threads of a worker: `executor.threads`, else the cores that it reserves."""
    return config.threads or max(1, math.floor(demand.cpus))


def refuse_impossible(demand: SlotDemand, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Raise ConfigError when no node could ever hold a slot; nodes: as Ray describes them."""
    if any(demand.slots_on(node["Resources"]) for node in nodes):
        return
    has = "; ".join(
        f"{node['NodeManagerHostname']}: {_describe(_shown(node['Resources']))}" for node in nodes
    )
    raise ConfigError(
        f"executor.ray asks for {demand.describe()} for a worker, and no node has that",
        expected=f"at most what one node has ({has or 'the cluster has no node'})",
        remedy="Ask for less with executor.ray.num_cpus, num_gpus, memory_gib or resources, or set "
        "executor.ray.autoscaling=true if the cluster adds such nodes when workers wait for them.",
    )


def _shown(resources: Mapping[str, float]) -> dict[str, float]:
    inner = ("node:", "object_store_memory", "accelerator_type:")
    return {name: amount for name, amount in resources.items() if not name.startswith(inner)}


def _describe(amounts: Mapping[str, float]) -> str:
    words = [
        f"{amount / 2**30:.1f} GiB memory" if name == "memory" else f"{amount:g} {name}"
        for name, amount in amounts.items()
        if amount
    ]
    return ", ".join(words) or "nothing"


def _whole(amount: float) -> float | int:
    return int(amount) if amount == int(amount) else amount
