"""Networks for digits, tuned as they would be by Optuna: `python digits_objective.py`."""

import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

DATA = train_test_split(*load_digits(return_X_y=True), random_state=0)


def objective(trial):
    train_x, valid_x, train_y, valid_y = DATA
    layers = trial.suggest_int("layers", 1, 3)
    widths = [trial.suggest_int(f"width_{i}", 8, 128, log=True) for i in range(layers)]
    solver = trial.suggest_categorical("solver", ["adam", "sgd"])
    momentum = trial.suggest_float("momentum", 0.0, 0.99) if solver == "sgd" else 0.0
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    model = MLPClassifier(
        widths, solver=solver, momentum=momentum, learning_rate_init=rate, random_state=0
    )
    for step in range(20):
        model.partial_fit(train_x / 16, train_y, classes=range(10))
        accuracy = model.score(valid_x / 16, valid_y)
        trial.report(accuracy, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


if __name__ == "__main__":
    import tunewright

    tuned = tunewright.tune(objective, goal="value:max", trials=40, name="digits", jobs=2)
    best = tuned.record.best
    states = {s: len(tuned.record.of_state(s)) for s in ("done", "pruned", "failed")}
    print(states, "best: trial", best.number, best.score, best.parameters)
