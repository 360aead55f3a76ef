"""The pairs guide's tuning as its users run it: what `guide_study.py` compares with.

Written anew after the guide's description: Optuna's `n_jobs` threads in one process, each trial
reads the files again, a DataLoader hands out single rows, the losses are written out over the full
matrix of logits, the loss is read back every step, the best weights are saved every time, values go
to SQLite from the trial, and the pruner has its first rung after the last epoch.

Where the guide's own formulas differ from ours (its sigmoid loss has no bias and another scale, its
queue loses rows), the ones here are ours, so that one configuration means one training in both.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

CLIP_NORM = 1.0
MAX_LOG_SCALE = math.log(100)


class PairRows(Dataset[tuple[Tensor, Tensor, int]]):
    """A set read whole from its two files, handed out row by row."""

    def __init__(self, folder: Path, name: str) -> None:
        self.images, self.texts = (
            torch.load(folder / f"{name}_{side}_embeddings.pt").float()
            for side in ("image", "text")
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, int]:
        return self.images[row], self.texts[row], row  # one text an image: a row is its own id


class AttentionHead(nn.Module):
    """Self-attention over a sequence of one vector, as the guide has it."""

    def __init__(self, width: int, output_dim: int, heads: int, layers: int, dropout: float):
        super().__init__()
        self.attention = nn.ModuleList(
            nn.MultiheadAttention(width, heads, dropout, batch_first=True) for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.out = nn.Sequential(nn.Linear(width, output_dim), nn.LayerNorm(output_dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None]
        for attention, norm in zip(self.attention, self.norms, strict=True):
            x = norm(x + attention(x, x, x)[0])
        return self.out(x[:, 0])


def make_head(width: int, config: Mapping[str, Any]) -> nn.Module:
    """One head of the kind that `config` names."""
    kind, out, dropout = config["head_type"], config["output_dim"], config["dropout"]
    if kind == "siglip":
        linear = nn.Linear(width, out, bias=False)
        nn.init.normal_(linear.weight, std=width**-0.5)
        return nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), linear)
    if kind == "attention":
        return AttentionHead(width, out, config["num_heads"], config["num_layers"], dropout)
    hidden = config["hidden_dim"]
    layers = [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, out)]
    return nn.Sequential(*layers, *([nn.LayerNorm(out)] if kind == "mlp" else []))


class PlainLoss(nn.Module):
    """The three losses over the full matrix of logits, as one writes them first."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.kind = config["loss_type"].removesuffix("_infonce")
        scale = torch.tensor(math.log(1 / config["temperature"]))
        self.highest = max(MAX_LOG_SCALE, float(scale))
        if config["learnable_temp"]:
            self.log_scale = nn.Parameter(scale)
        else:
            self.register_buffer("log_scale", scale)
        if self.kind == "sigmoid":
            self.bias = nn.Parameter(torch.tensor(-10.0))
        if self.kind == "queue":
            self.size = config["queue_size"]
            self.queue = torch.zeros(0, config["output_dim"])
            self.queue_ids = torch.zeros(0, dtype=torch.int64)

    def forward(self, images: Tensor, texts: Tensor, ids: Tensor) -> Tensor:
        images, texts = F.normalize(images, dim=-1), F.normalize(texts, dim=-1)
        logits = images @ texts.T * self.log_scale.exp()
        labels = torch.arange(len(ids))
        if self.kind == "softmax":
            return 0.5 * (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels))
        if self.kind == "sigmoid":
            signs = 2 * torch.eye(len(ids)) - 1
            return -F.logsigmoid(signs * (logits + self.bias)).sum() / len(ids)
        stored = images @ self.queue.T * self.log_scale.exp()
        stored = stored.masked_fill(ids[:, None] == self.queue_ids, float("-inf"))
        loss = F.cross_entropy(torch.cat([logits, stored], dim=1), labels)
        self.queue = torch.cat([self.queue, texts.detach()])[-self.size :]
        self.queue_ids = torch.cat([self.queue_ids, ids])[-self.size :]
        return loss

    @torch.no_grad()
    def clamp_(self) -> None:
        self.log_scale.clamp_(max=self.highest)


def train(
    config: Mapping[str, Any],
    data: Path,
    checkpoint: Path,
    *,
    epochs: int,
    patience: int,
    workers: int,
    report: Callable[[float, int], None],
) -> float:
    """One trial: the best validation R@1 over its epochs."""
    train_rows, valid_rows = PairRows(data, "train_tuning"), PairRows(data, "val")
    size = config["batch_size"]
    batches = DataLoader(train_rows, size, shuffle=True, num_workers=workers, drop_last=True)
    valid = DataLoader(valid_rows, size, num_workers=workers)
    heads = nn.ModuleList(
        make_head(side.shape[1], config) for side in (train_rows.images, train_rows.texts)
    )
    loss_of = PlainLoss(config)
    parameters = [*heads.parameters(), *loss_of.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=config["learning_rate"], weight_decay=config["weight_decay"]
    )
    best, waited = 0.0, 0
    for epoch in range(epochs):
        heads.train()
        total = 0.0
        for images, texts, ids in batches:
            loss = loss_of(heads[0](images), heads[1](texts), ids)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
            optimizer.step()
            loss_of.clamp_()
            total += loss.item()
        if not math.isfinite(total):
            raise optuna.TrialPruned(f"the loss is {total}")
        score = recall_1(heads, valid)
        report(score, epoch)
        if score > best:
            best, waited = score, 0
            torch.save(heads.state_dict(), checkpoint)
        else:
            waited += 1
        if waited >= patience:
            break
    return best


@torch.no_grad()
def recall_1(heads: nn.ModuleList, valid: DataLoader[Any]) -> float:
    """The mean of both directions' R@1 over the whole validation set."""
    heads.eval()
    found = [(heads[0](images), heads[1](texts)) for images, texts, _ in valid]
    images, texts = (F.normalize(torch.cat(side), dim=-1) for side in zip(*found, strict=True))
    scores = images @ texts.T
    rows = torch.arange(len(images))
    hits = (scores.argmax(1) == rows).float().mean() + (scores.argmax(0) == rows).float().mean()
    return float(hits / 2)


def suggest(trial: optuna.Trial, space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A configuration in the guide's flat names; parameters of other heads are left out."""

    def value(name: str) -> Any:
        domain = space[name]
        if domain["type"] == "categorical":
            return trial.suggest_categorical(name, domain["choices"])
        return trial.suggest_float(
            name, domain["low"], domain["high"], log=domain.get("log", False)
        )

    names = ["head_type", "output_dim", "dropout", "loss_type", "temperature", "learnable_temp"]
    config = {name: value(name) for name in names}
    more = ["batch_size", "learning_rate", "weight_decay"]
    if config["head_type"] in ("clip", "mlp"):
        more.append("hidden_dim")
    if config["head_type"] == "attention":
        more += ["num_heads", "num_layers"]
    if config["loss_type"] == "queue_infonce":
        more.append("queue_size")
    return config | {name: value(name) for name in more}


class Listed(optuna.samplers.BaseSampler):
    """Hands each trial the configuration of its number; two threads may take one enqueued trial."""

    def __init__(self, configurations: list[Mapping[str, Any]]) -> None:
        self._configurations = configurations

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, _domain: Any) -> Any:
        return self._configurations[trial.number][param_name]


def search(
    file: Mapping[str, Any],
    data: Path,
    place: Path,
    *,
    seed: int,
    epochs: int,
    patience: int,
    workers: int,
    fixed: list[Mapping[str, Any]] | None = None,
) -> optuna.Study:
    """The study of a guide's file; `fixed` configurations are tried in place of a search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", "This DataLoader will create")  # more than there are cores
    study = optuna.create_study(
        study_name=file["study_name"],
        direction="maximize",
        storage=f"sqlite:///{place / 'optuna_study.db'}",
        sampler=Listed(fixed) if fixed else optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(
            min_resource=2, reduction_factor=4, min_early_stopping_rate=1
        ),
    )

    def objective(trial: optuna.Trial) -> float:
        config = suggest(trial, file["search_space"])

        def report(score: float, epoch: int) -> None:
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        return train(
            config, data, place / f"{trial.number:05d}.pt",
            epochs=epochs, patience=patience, workers=workers, report=report,
        )  # fmt: skip

    torch.manual_seed(seed)
    study.optimize(objective, n_trials=file["n_trials"], n_jobs=file["n_jobs"])
    return study
