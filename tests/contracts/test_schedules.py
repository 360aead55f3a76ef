"""Every schedule keeps the contract, a plug-in's included."""

from typing import ClassVar

from tunewright.testing.schedules import ScheduleContract


class TestConstant(ScheduleContract):
    name = "constant"


class TestCosine(ScheduleContract):
    name = "cosine"
    settings: ClassVar = {"final_fraction": 0.1}


class TestLinear(ScheduleContract):
    name = "linear"


class TestPolynomial(ScheduleContract):
    name = "polynomial"
    settings: ClassVar = {"power": 0.9}


class TestOneCycle(ScheduleContract):
    name = "one_cycle"


class TestStep(ScheduleContract):
    name = "step"


class TestMilestones(ScheduleContract):
    name = "milestones"


class TestAPlugin(ScheduleContract):
    name = "restarts"
    settings: ClassVar = {"options": {"cycles": 3}}
