"""Names of metrics and parameters as MLflow takes them."""

import re

from tunewright.training.trackers.mlflow import acceptable_names

NAMES = ["acc@5", "acc_5", "psnr (dB)", "a//b", "/top", "../x", "", "k" * 251, "k" * 252, "f1"]


def test_all_names_are_acceptable_and_stay_different():
    found = acceptable_names(NAMES)
    assert len(set(found.values())) == len(NAMES)
    assert (found["acc_5"], found["f1"]) == ("acc_5", "f1")
    for key in found.values():
        assert re.fullmatch(r"[\w.\- /]{1,250}", key)
        assert not key.startswith("/")
        assert {"", ".", ".."}.isdisjoint(key.split("/"))


def test_names_keep_what_they_were_called_before():
    first = acceptable_names(["acc@5"])
    assert acceptable_names(["acc@5", "acc_5"], first)["acc@5"] == "acc_5"
    assert acceptable_names(["acc_5"], first)["acc_5"] != "acc_5"
