"""The callbacks of trainers, against the real packages where they are installed."""

import json

import pytest
import torch

from tunewright import client


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A trial of three epochs; `reports` are the steps and metrics told, `ask` stops it."""

    class Trial:
        folder = tmp_path

        def reports(self):
            lines = map(json.loads, (tmp_path / "reports.jsonl").read_text().splitlines())
            return [(line["step"], line["metrics"]) for line in lines if "metrics" in line]

        def ask(self, kind):
            (tmp_path / "request.json").write_text(json.dumps({"kind": kind, "attempt": 1}))

    names = {"reports": "reports.jsonl", "request": "request.json", "checkpoints": "kept"}
    told = {name: str(tmp_path / file) for name, file in names.items()}
    told |= {"params": {}, "seed": 0, "epochs": 3, "run_dir": str(tmp_path), "attempt": 1}
    (tmp_path / "trial.json").write_text(json.dumps(told))
    monkeypatch.setenv(client.VARIABLE, str(tmp_path / "trial.json"))
    monkeypatch.setattr(client, "CHECK_SECONDS", 0.0)
    return Trial()


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, row):
        return {"x": torch.tensor([float(row)]), "labels": torch.tensor([row / 2])}


@pytest.mark.filterwarnings("ignore")
def test_transformers(study):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tunewright.clients.transformers_trainer import TransformersCallback

    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x, labels=None):
            found = self.layer(x)
            return {"loss": ((found - labels) ** 2).mean(), "logits": found}

    def train(stop_after=None):
        folder = str(client.checkpoint_dir())
        arguments = transformers.TrainingArguments(
            folder, num_train_epochs=3, eval_strategy="epoch", save_strategy="epoch",
            eval_on_start=True, report_to="none", disable_tqdm=True, use_cpu=True,
        )  # fmt: skip
        trainer = transformers.Trainer(
            Line(), arguments, train_dataset=Rows(), eval_dataset=Rows(),
            callbacks=[TransformersCallback()],
        )  # fmt: skip
        last = transformers.trainer_utils.get_last_checkpoint(folder)
        trainer.train(resume_from_checkpoint=last)

    study.ask("pause")
    with pytest.raises(client.Stop):
        train()
    assert [step for step, _ in study.reports()] == [1]
    assert "eval_loss" in study.reports()[0][1]
    (study.folder / "request.json").unlink()
    train()
    assert [step for step, _ in study.reports()] == [1, 2, 3]


@pytest.mark.filterwarnings("ignore")
def test_lightning(study):
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    from tunewright.clients.lightning_trainer import LightningCallback

    class Line(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def _loss(self, batch):
            return ((self.layer(batch["x"]) - batch["labels"]) ** 2).mean()

        def training_step(self, batch, _):
            return self._loss(batch)

        def validation_step(self, batch, _):
            self.log("val_loss", self._loss(batch))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 1e-4)

    def train():
        folder = client.checkpoint_dir()
        keep = lightning.callbacks.ModelCheckpoint(folder, save_last=True)
        trainer = lightning.Trainer(
            max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[keep, LightningCallback()],
        )  # fmt: skip
        last = folder / "last.ckpt"
        loader = torch.utils.data.DataLoader(Rows(), batch_size=8)
        trainer.fit(Line(), loader, loader, ckpt_path=last if last.exists() else None)

    study.ask("pause")
    with pytest.raises(client.Stop):
        train()
    assert [step for step, _ in study.reports()] == [1]
    (study.folder / "request.json").unlink()
    train()
    assert [step for step, _ in study.reports()] == [1, 2, 3]
    assert all("val_loss" in metrics for _, metrics in study.reports())


@pytest.mark.filterwarnings("ignore")
def test_keras(study, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="keras is not installed")
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = torch.arange(8.0).reshape(-1, 1) / 8
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: client.report(epoch + 1, logs)
    )
    model.fit(x, x, validation_data=(x, x), epochs=2, verbose=0, callbacks=[report])
    assert [step for step, _ in study.reports()] == [1, 2]
    assert set(study.reports()[0][1]) == {"loss", "val_loss"}
