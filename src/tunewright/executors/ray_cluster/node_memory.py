"""The memory of the cluster's nodes, as their actors report it."""

import math
from collections.abc import Sequence

from tunewright.executors.executor import Resources
from tunewright.executors.host_memory import RESERVE_MIB
from tunewright.executors.ray_cluster.slot import RayHandle, Slot


class NodeMemory:
    """Whether another run has room on a node beside those that run there.

    limit_gib: what a run may hold at most.
    """

    def __init__(self, limit_gib: float | None) -> None:
        self._limit_mib = math.inf if limit_gib is None else limit_gib * 1024
        self._free: dict[str, float] = {}

    def note(self, node: str, free_mib: float) -> None:
        """Note the free memory of a node."""
        self._free[node] = free_mib

    def shortage(self, wanted: Resources, slot: Slot, running: Sequence[RayHandle]) -> str | None:
        """Return what a run in `slot` would lack, as text; None when it fits or none is known.

        Each run is counted with its expected peak, of which its worker holds a part already.
        """
        node = slot.place.node if slot.place is not None else ""
        if node not in self._free:
            return None
        growing = sum(
            self._growth(handle.resources, handle.slot)
            for handle in running
            if handle.slot.place is not None and handle.slot.place.node == node
        )
        needed = self._growth(wanted, slot)
        left = self._free[node] - RESERVE_MIB - growing
        if needed <= left:
            return None
        host = slot.place.host if slot.place is not None else ""
        return (
            f"needs about {needed / 1024:.1f} GiB, {max(0.0, left) / 1024:.1f} GiB free on {host}"
        )

    def _growth(self, resources: Resources, slot: Slot) -> float:
        return max(0.0, min(resources.memory_mib or 0.0, self._limit_mib) - slot.held_mib)
