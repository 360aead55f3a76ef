"""A rank that runs out of memory as soon as it has met the others."""

import os
from multiprocessing.connection import Connection
from pathlib import Path

from tunewright.training.ranks.ranks import join
from tunewright.training.ranks.team import RankOrder, RankReport, follow_leader


def serve_failing(pipe: Connection, gpu: str | None) -> None:
    def fail(order: RankOrder) -> None:
        pipe.send(RankReport("ready"))
        with join(order.rank, order.count, Path(order.meeting)):
            pipe.send(RankReport("failed", "out of memory", "3 GiB more were asked for"))
            os._exit(1)

    follow_leader(pipe, fail)
