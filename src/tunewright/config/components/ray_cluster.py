"""Which Ray cluster runs the trials, and what each of its workers has."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from tunewright.config.section import Count, NotNegative, Positive, Section

_HOST_PORT = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")


def _address(text: str) -> str:
    if text in ("auto", "local") or _HOST_PORT.fullmatch(text):
        return text
    raise ValueError(
        "auto, local, or HOST:PORT as ray start --head prints it (port 6379), not the addresses "
        "of Ray Client (ray://) or of the dashboard"
    )


def _gpus(count: float) -> float:
    if count > 1 and count != int(count):
        raise ValueError("a part of one GPU, such as 0.25, or whole ones, as Ray counts them")
    return count


class RayConfig(Section):
    """The cluster and the workers of executor.type=ray.

    address: HOST:PORT of a cluster, auto (the one that `ray start` began here or RAY_ADDRESS names,
    else a new one on this machine), or local (a new one). num_cpus, num_gpus: of a worker; parts of
    a GPU such as 0.25 are shared (null = a GPU where a node has one, and its share of the cores;
    else `executor.threads` cores). memory_gib: RAM that Ray reserves for a worker (null =
    `executor.memory_gib`, of workers without a GPU). resources: of a worker, as `ray start
    --resources` names them. autoscaling: the cluster adds nodes when workers wait for room.
    start_seconds: how long the first worker may take to begin. lease_minutes: how long a worker
    goes on when no coordinator speaks to it.
    """

    address: Annotated[str, AfterValidator(_address)] = "auto"
    num_cpus: Positive | None = None
    num_gpus: Annotated[NotNegative, AfterValidator(_gpus)] | None = None
    memory_gib: Positive | None = None
    resources: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)
    autoscaling: bool = False
    start_seconds: Count = 300
    lease_minutes: Positive = 10.0
