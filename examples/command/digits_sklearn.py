"""A script as people have it: scikit-learn's digits, arguments in, lines of metrics out."""

import argparse

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=1e-4)
parser.add_argument("--eta0", type=float, default=0.1)
parser.add_argument("--penalty", choices=["l1", "l2", "elasticnet"], default="l2")
parser.add_argument("--average", action="store_true")
parser.add_argument("--epochs", type=int, default=20)
options = parser.parse_args()

images, labels = load_digits(return_X_y=True)
parts = train_test_split(images, labels, test_size=0.4, random_state=0, stratify=labels)
train_x, valid_x, train_y, valid_y = parts
scaler = StandardScaler().fit(train_x)
train_x, valid_x = scaler.transform(train_x), scaler.transform(valid_x)
model = SGDClassifier(
    "log_loss",
    penalty=options.penalty,
    alpha=options.alpha,
    learning_rate="adaptive",
    eta0=options.eta0,
    average=options.average,
    random_state=0,
)
for epoch in range(1, options.epochs + 1):
    for _ in range(10):
        model.partial_fit(train_x, train_y, classes=range(10))
    accuracy = model.score(valid_x, valid_y)
    loss = log_loss(valid_y, model.predict_proba(valid_x))
    print(f"epoch={epoch} val_accuracy={accuracy:.4f} val_loss={loss:.4f}")
