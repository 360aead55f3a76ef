"""Recompute balance.json without Tunewright: `python balance_oracles.py [--write]`.

FAMO and the weights of the shortest combination of two gradients are those of torchjd 0.18, in
float64. Without --write the committed numbers are compared.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchjd.aggregation import MGDAWeighting
from torchjd.scalarization import FAMO

COMMITTED = Path(__file__).with_name("balance.json")
INPUTS: dict[str, Any] = {
    "start": [1.0, -2.0, 0.5],
    "target": [3.0, 0.0, 0.0],
    "lr": 0.1,
    "gamma": 0.003,
    "w_lr": 0.025,
    "steps": 6,
    "gradients": {
        "inside": [[1.0, 0.5, -0.2], [-0.4, 1.0, 0.7]],
        "acute": [[0.1, 0.2, 0.0], [1.0, 2.5, 0.3]],
        "acute, the other is shorter": [[2.0, 1.0, 1.0], [0.3, 0.2, 0.1]],
        "opposed": [[1.0, -1.0, 2.0], [-2.0, 2.0, -4.0]],
    },
}


def losses(p: Tensor) -> Tensor:
    target = torch.tensor(INPUTS["target"])
    return torch.stack([(p - target).square().mean(), p.abs().sum()])


def famo(minimum: float) -> dict[str, Any]:
    p = nn.Parameter(torch.tensor(INPUTS["start"]))
    model = torch.optim.SGD([p], lr=INPUTS["lr"])
    balance = FAMO(2, torch.full((2,), minimum), lr=INPUTS["w_lr"], weight_decay=INPUTS["gamma"])
    found: dict[str, Any] = {"objective": [], "gradient": [], "logits": []}
    for _ in range(INPUTS["steps"]):
        total = balance(losses(p))
        model.zero_grad()
        total.backward()
        assert p.grad is not None
        found["objective"].append(total.item())
        found["gradient"].append(p.grad.tolist())
        model.step()
        balance.update(losses(p))
        found["logits"].append(balance._w.tolist())
    return found


def shortest(gradients: list[list[float]]) -> list[float]:
    jacobian = torch.tensor(gradients)
    weights: Tensor = MGDAWeighting(epsilon=1e-14, max_iters=10_000)(jacobian @ jacobian.T)
    return weights.tolist()


def values() -> dict[str, Any]:
    torch.set_default_dtype(torch.float64)
    return {
        "famo_minimum_0": famo(0.0),
        "famo_minimum_-1": famo(-1.0),
        "shortest": {name: shortest(given) for name, given in INPUTS["gradients"].items()},
    }


def main() -> int:
    found = {"inputs": INPUTS, "values": values()}
    if "--write" in sys.argv[1:]:
        COMMITTED.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    committed = json.loads(COMMITTED.read_text())["values"]
    wrong = [name for name, value in found["values"].items() if not close(value, committed[name])]
    print("differs: " + ", ".join(wrong) if wrong else f"{len(committed)} values agree")
    return bool(wrong)


def close(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-14)


if __name__ == "__main__":
    sys.exit(main())
