"""LightGBM on scikit-learn's digits, through the client: pruned after any number of trees."""

import lightgbm
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tunewright.client as tw

params = tw.params(learning_rate=0.1, num_leaves=31, min_data_in_leaf=20, feature_fraction=1.0)
images, labels = load_digits(return_X_y=True)
parts = train_test_split(images, labels, test_size=0.4, random_state=0, stratify=labels)
train_x, valid_x, train_y, valid_y = parts
train = lightgbm.Dataset(train_x, train_y)


def report(state: lightgbm.callback.CallbackEnv) -> None:
    """Report each tenth tree."""
    if (state.iteration + 1) % 10 == 0:
        results = state.evaluation_result_list
        found = {f"{part}_{metric}": value for part, metric, value, _ in results}
        tw.report(state.iteration + 1, found)


settings = {"objective": "multiclass", "num_class": 10, "verbose": -1, "num_threads": 1}
lightgbm.train(
    {**settings, "metric": ["multi_logloss", "multi_error"], **params},
    train,
    num_boost_round=tw.epochs(100),
    valid_sets=[train.create_valid(valid_x, valid_y)],
    valid_names=["val"],
    callbacks=[report],
)
