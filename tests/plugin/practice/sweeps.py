"""Functions as they are written for `wandb.agent`, importable as a user's are."""

import os
import time


def train(config=None):
    """Logs eight steps, of which the fourth is the best."""
    import wandb

    with wandb.init(project="practice", config=config):
        rate = wandb.config.lr
        for step in range(8):
            loss = rate + 0.1 * abs(step - 3) + wandb.config.optimizer["beta"]
            wandb.log({"train": {"loss": 1.0}}, commit=False)
            wandb.log({"val_loss": loss, "process": os.getpid()})
            time.sleep(0.02)


def train_silently():
    import wandb

    wandb.init()
    wandb.log({"accuracy": 0.5})


def train_and_return():
    import wandb

    wandb.init()
    return {"val_loss": wandb.config["lr"], "size": 3}


def train_and_summarise():
    import wandb

    run = wandb.init()
    for _ in range(3):
        wandb.log({"val_loss": 1.0})
    run.summary["val_loss"] = 0.25
    return run


def train_untidily():
    import wandb

    wandb.init()
    wandb.log({"val_loss ": wandb.config["lr"], " size": 2})
