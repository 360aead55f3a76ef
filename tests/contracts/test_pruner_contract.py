"""Every pruner keeps the contract, a plug-in's included."""

from typing import ClassVar

from tunewright.testing.pruners import PrunerContract


class TestNone(PrunerContract):
    name = "none"
    stops = False


class TestAsha(PrunerContract):
    name = "asha"


class TestHyperband(PrunerContract):
    name = "hyperband"


class TestMedian(PrunerContract):
    name = "median"


class TestPercentile(PrunerContract):
    name = "percentile"
    settings: ClassVar = {"percentile": 30.0, "interval_steps": 2}


class TestPatient(PrunerContract):
    name = "patient"
    settings: ClassVar = {"patience": 1}


class TestAPlugin(PrunerContract):
    name = "threshold"
    settings: ClassVar = {"options": {"at_least": 0.2, "step": 3}}
    mirrored: ClassVar = {"options": {"at_least": -0.2, "step": 3}}


class TestAPluginWithPatience(PrunerContract):
    name = "patient"
    settings: ClassVar = {"patience": 1, "wrapped": TestAPlugin.settings | {"type": "threshold"}}
    mirrored: ClassVar = {"patience": 1, "wrapped": TestAPlugin.mirrored | {"type": "threshold"}}
