"""Find the room of a Ray cluster, and make the executor that uses it."""

from dataclasses import dataclass

from tunewright.config.components.executors import ExecutorConfig
from tunewright.errors import ConfigError
from tunewright.executors.ray_cluster.demand import demand_of, refuse_impossible, threads_of
from tunewright.executors.ray_cluster.ray_door import connect, find_cluster, load_ray
from tunewright.executors.ray_cluster.ray_executor import RayExecutor
from tunewright.recipes.recipe import Run
from tunewright.runs.machine.free_cores import cores


@dataclass(frozen=True)
class ClusterRoom:
    """The slots of a cluster now, the CPU threads of each, and why, as text for the user."""

    slots: int
    threads: int
    why: str


def cluster_share(config: ExecutorConfig, jobs: int | None) -> ClusterRoom:
    """Return the room of the cluster that `config` means; none is started for that.

    Raises ConfigError when the cluster does not answer or has no node with room for a worker.
    """
    load_ray()
    if find_cluster(config.ray) is None:
        here = {"CPU": _cpus(config, jobs)}
        demand = demand_of(config, [here])
        count = max(1, demand.slots_on(here)) if jobs is None else jobs
        why = f"a Ray cluster started on this machine, {here['CPU']:g} CPU"
        return ClusterRoom(count, threads_of(config, demand), why)
    connection = connect(config.ray)
    try:
        nodes = connection.nodes()
    finally:
        connection.close()
    demand = demand_of(config, [node["Resources"] for node in nodes])
    if not config.ray.autoscaling:
        refuse_impossible(demand, nodes)
    room = sum(demand.slots_on(node["Resources"]) for node in nodes)
    count = max(1, room if jobs is None else min(jobs, room))
    why = f"a Ray cluster of {len(nodes)} node(s) with room for {room}"
    if jobs is not None and jobs > room:
        why += f", {jobs} asked"
    return ClusterRoom(count, threads_of(config, demand), why)


def open_cluster(
    config: ExecutorConfig, *, most: int | None = None, run_override: Run | None = None
) -> RayExecutor:
    """Connect to the cluster, or start one here; return the executor that uses it.

    most: see `RayExecutor`.
    """
    connection = connect(config.ray, room_for=_cpus(config, most))
    try:
        return RayExecutor(connection, config, most=most, run_override=run_override)
    except ConfigError:
        connection.close()
        raise


def _cpus(config: ExecutorConfig, jobs: int | None) -> float:
    """Return the CPUs of a cluster started here: as many workers as asked, else the cores."""
    if jobs is None:
        return float(cores())
    each = config.ray.num_cpus or float(config.threads or 1)
    return max(float(cores()), jobs * each)
