"""A script that logs to W&B and stays as it is: see digits_sweep.yaml."""

import wandb
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def main():
    wandb.init(project="digits")
    config = wandb.config
    train_x, valid_x, train_y, valid_y = train_test_split(
        *load_digits(return_X_y=True), random_state=0
    )
    model = MLPClassifier(
        [config.width] * config.layers,
        learning_rate_init=config.optimizer["lr"],
        batch_size=config.batch_size,
        random_state=0,
    )
    for _ in range(config.epochs):
        model.partial_fit(train_x / 16, train_y, classes=range(10))
        wandb.log({"loss": model.loss_, "val_accuracy": model.score(valid_x / 16, valid_y)})


if __name__ == "__main__":
    main()
