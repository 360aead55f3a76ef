"""Optimisers in the configuration: four with keys of their own, and all others by name.

Torch-free: names and signatures are known without importing torch or timm.
"""

import ast
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from inspect import Parameter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from tunewright.config.components.plugins import OPTIMIZERS
from tunewright.config.section import Fraction, NotNegative, Options, Positive, Section
from tunewright.registry import plugin_names, refuse_options

_TIMM = {
    "adabelief:AdaBelief": "adabelief radabelief",
    "adafactor:Adafactor": "adafactor cadafactor",
    "adafactor_bv:AdafactorBigVision": "adafactorbv adafactorbvc cadafactorbv cadafactorbvc",
    "adahessian:Adahessian": "adahessian",
    "adamp:AdamP": "adamp cadamp",
    "adamw:AdamWLegacy": "adamc adamwlegacy cadamc cadamw",
    "adan:Adan": "adan adanw cadan cadanw",
    "adopt:Adopt": "adopt adoptc adoptw cadopt cadoptc cadoptw",
    "kron:Kron": "kron kronc kronw",
    "lamb:Lamb": "clamb clambw lamb lambc lambcd lambcw lambw",
    "laprop:LaProp": "claprop laprop lapropc",
    "lars:Lars": "larc lars nlarc nlars",
    "lion:Lion": "clion clionc lion lionc",
    "madgrad:MADGRAD": "madgrad madgradw",
    "mars:Mars": "cmars mars",
    "muon:Muon": "adamuon muon nadamuon nmuon",
    "nadam:NAdamLegacy": "nadamlegacy",
    "nadamw:NAdamW": "cnadamc cnadamw nadamc nadamw",
    "nvnovograd:NvNovoGrad": "novograd novogradc novogradw",
    "radam:RAdamLegacy": "radamlegacy",
    "rmsprop_tf:RMSpropTF": "crmsproptf rmsproptf rmsproptfc rmsproptfw",
    "sgdp:SGDP": "csgdp sgdp",
    "sgdw:SGDW": "csgdc csgdw nesterovw sgdc sgdw",
}
_TIMM_OF_TORCH = {
    "adadelta:Adadelta": "adadelta",
    "adagrad:Adagrad": "adagrad",
    "adamax:Adamax": "adamax",
    "nadam:NAdam": "nadam",
    "radam:RAdam": "radam radamw",
    "rmsprop:RMSprop": "rmsprop",
    "sgd:SGD": "momentum nesterov",
}
"""What timm calls optimisers of torch, with defaults of its own for some of them."""
_TORCH = (
    "ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS Muon NAdam RAdam RMSprop Rprop SGD"
)
_OWN_KEYS = ("Adam", "AdamW", "SGD")
"""Those whose lower-case name is the kind with keys of its own."""
_TORCH_FILES = {"Adafactor": "_adafactor", "Muon": "_muon"}
"""Files that are not called like their class."""


def _tabulate() -> Mapping[str, str]:
    found = {
        name: f"{package}.optim.{place}"
        for package, table in (("timm", _TIMM), ("torch", _TIMM_OF_TORCH))
        for place, names in table.items()
        for name in names.split()
    }
    for name in _TORCH.split():
        found[name] = place = f"torch.optim.{_TORCH_FILES.get(name, name.lower())}:{name}"
        if name not in _OWN_KEYS:
            found.setdefault(name.lower(), place)  # those that timm has not are in lower case, too
    found["SparseAdam"] = found["sparseadam"] = "torch.optim.sparse_adam:SparseAdam"
    return MappingProxyType(dict(sorted(found.items())))


OTHER_OPTIMIZERS = _tabulate()
"""Optimisers by name, as `module:class`: timm's names in lower case, torch.optim's class names."""

TIMM_OPTIMIZERS = frozenset(
    name for names in (*_TIMM.values(), *_TIMM_OF_TORCH.values()) for name in names.split()
)
_CLOSURE = "evaluates the loss several times in a step"
TYPED = ("adam", "adamw", "cautious_adam", "sgd")
"""Optimisers with keys of their own, by their `type`."""
REFUSED = {
    "LBFGS": _CLOSURE,
    "lbfgs": _CLOSURE,
    "SparseAdam": "takes sparse gradients only",
    "sparseadam": "takes sparse gradients only",
    "adahessian": "needs second derivatives",
}
"""Optimisers that need more than one gradient in a step, and why."""


class AdamWConfig(Section):
    """AdamW (Loshchilov & Hutter 2019).

    lr: the full learning rate, which the schedule scales. weight_decay: spares biases, norms and
    learnable scalars. beta1, beta2: decay of the averages of the gradient and of its square. eps:
    added to the root of the averaged square.
    """

    type: Literal["adamw"] = "adamw"
    lr: Positive = 1e-4
    weight_decay: NotNegative = 0.01
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8


class AdamConfig(Section):
    """Adam (Kingma & Ba 2015).

    lr: the full learning rate, which the schedule scales. weight_decay: a penalty in the gradient,
    unlike AdamW's; spares biases, norms and learnable scalars. beta1, beta2: decay of the averages
    of the gradient and of its square. eps: added to the root of the averaged square.
    """

    type: Literal["adam"] = "adam"
    lr: Positive = 1e-3
    weight_decay: NotNegative = 0.0
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8


class SgdConfig(Section):
    """Stochastic gradient descent with momentum.

    lr: the full learning rate, which the schedule scales. weight_decay: spares biases, norms and
    learnable scalars. momentum: decay of the average of gradients. nesterov: look ahead by it.
    """

    type: Literal["sgd"] = "sgd"
    lr: Positive = 0.1
    weight_decay: NotNegative = 5e-4
    momentum: Fraction = 0.9
    nesterov: bool = True


class CautiousAdamConfig(Section):
    """Adam that does not move a weight against its gradient (Liang et al. 2024).

    lr: the full learning rate, which the schedule scales. weight_decay: as AdamW's; spares biases,
    norms and learnable scalars. beta1, beta2: decay of the averages of the gradient and of its
    square. eps: added to the root of the averaged square.
    """

    type: Literal["cautious_adam"] = "cautious_adam"
    lr: Positive = 1e-4
    weight_decay: NotNegative = 0.0
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8


if TYPE_CHECKING:
    OtherName = str
else:
    OtherName = Literal[
        (
            *OTHER_OPTIMIZERS,
            *sorted({*plugin_names(OPTIMIZERS)} - {*TYPED} - {*OTHER_OPTIMIZERS}),
        )
    ]


class OtherOptimizer(Section):
    """Any optimiser of timm, torch.optim or an installed package, by name.

    timm's names are in lower case (`lion`); a class of torch.optim has its own (`RMSprop`), with
    torch's defaults. lr: the full learning rate, which the schedule scales. weight_decay: spares
    biases, norms and learnable scalars. options: keyword arguments of its constructor
    (`betas: [0.9, 0.98]`); those of an installed package are checked when the training starts.
    """

    type: OtherName
    lr: Positive = 1e-3
    weight_decay: NotNegative = 0.0
    options: Options = Field(default_factory=dict)

    @field_validator("type")
    @classmethod
    def _steps_once(cls, name: str) -> str:
        if name in REFUSED:
            raise ValueError(f"one that steps with one gradient, but {name} {REFUSED[name]}")
        return name

    @field_validator("options")
    @classmethod
    def _fitting(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        accepted = constructor_options(OTHER_OPTIMIZERS.get(info.data.get("type", ""), ""))
        if accepted and (
            reason := refuse_options(f"the optimizer {info.data['type']}", options, accepted)
        ):
            raise ValueError(reason)
        return options


Optim = Annotated[
    AdamWConfig | AdamConfig | CautiousAdamConfig | SgdConfig | OtherOptimizer,
    Field(discriminator="type"),
]
OWN_KEYS = ("params", "lr", "weight_decay")
"""Arguments of a constructor that are set by keys of their own."""


@cache
def constructor_options(place: str) -> Mapping[str, Any]:
    """Return the arguments of the class `module:class` that `options` may set.

    Reads the source file without importing it. Empty where there is none. The value is
    `Parameter.empty` for an argument without a default.
    """
    module, _, name = place.partition(":")
    package, *parts = module.split(".")
    spec = find_spec(package) if package else None
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, *parts).with_suffix(".py")
        if not file.exists():
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return MappingProxyType(_arguments_of(node))
    return MappingProxyType({})


def _arguments_of(node: ast.ClassDef) -> dict[str, Any]:
    made = next(
        (f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None
    )
    if made is None:
        return {}
    places = [arg.arg for arg in (*made.args.posonlyargs, *made.args.args)][1:]
    required = places[: len(places) - len(made.args.defaults)]
    required += [
        a.arg for a, d in zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True) if d is None
    ]
    names = [*places, *(arg.arg for arg in made.args.kwonlyargs)]
    return {
        name: Parameter.empty if name in required else None
        for name in names
        if name not in OWN_KEYS
    }
