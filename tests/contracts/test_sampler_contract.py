"""Every sampler keeps the contract, a plug-in's included."""

from typing import ClassVar

import pytest

from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.space import Parameter, Space
from tunewright.testing.samplers import SamplerContract


class TestTpe(SamplerContract):
    name = "tpe"
    settings: ClassVar = {"startup_trials": 3}


class TestRandom(SamplerContract):
    name = "random"


class TestGrid(SamplerContract):
    name = "grid"
    space = Space(
        (Parameter("kind", Categorical(("a", "b", "c")), "b"), Parameter("depth", Int(1, 6), 2))
    )
    seeded = False


class TestQuasiRandom(SamplerContract):
    name = "quasi_random"


class TestGp(SamplerContract):
    name = "gp"
    settings: ClassVar = {"startup_trials": 3}


class TestCmaEs(SamplerContract):
    name = "cma_es"
    space = Space((Parameter("x", Float(0.0, 1.0), 0.5), Parameter("rate", Float(0.0, 1.0), 0.1)))

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("cmaes", reason="pip install 'tunewright[cmaes]'")


class TestCurves(SamplerContract):
    """Its draws; what it proposes besides is tested with its loop."""

    name = "curves"


class TestAPlugin(SamplerContract):
    name = "narrowing"
    settings: ClassVar = {"options": {"power": 3}}
