"""The `transformers` Trainer on a tiny random model; goes on from its checkpoint after a pause."""

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

import tunewright.client as tw
from tunewright.clients.transformers_trainer import TransformersCallback

params = tw.params(lr=1e-3, hidden=32, layers=2)
torch.manual_seed(tw.seed())


class Majority(Dataset):
    """Sequences of 16 tokens of 8; the label is the token that occurs most often."""

    def __init__(self, rows: int, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.tokens = torch.randint(0, 8, (rows, 16), generator=draw)
        self.labels = torch.nn.functional.one_hot(self.tokens, 8).sum(1).argmax(1)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.tokens[row], "labels": self.labels[row]}


model = BertForSequenceClassification(
    BertConfig(
        vocab_size=8,
        hidden_size=params["hidden"],
        num_hidden_layers=params["layers"],
        num_attention_heads=4,
        intermediate_size=2 * params["hidden"],
        max_position_embeddings=16,
        num_labels=8,
    )
)
folder = str(tw.checkpoint_dir("output"))
trainer = Trainer(
    model,
    TrainingArguments(
        folder,
        num_train_epochs=tw.epochs(6),
        per_device_train_batch_size=64,
        per_device_eval_batch_size=512,
        learning_rate=params["lr"],
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=tw.seed(),
    ),
    train_dataset=Majority(2000, 0),
    eval_dataset=Majority(500, 1),
    compute_metrics=lambda found: {"accuracy": (found[0].argmax(1) == found[1]).mean()},
    callbacks=[TransformersCallback()],
)
trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))
