"""Processes that train beside the tests' own: started once."""

from collections.abc import Iterator

import pytest

from tunewright import job
from tunewright.training.ranks.team import RankTeam


@pytest.fixture(scope="session")
def team() -> Iterator[RankTeam]:
    team = RankTeam(job.serve_rank)
    yield team
    team.close()
