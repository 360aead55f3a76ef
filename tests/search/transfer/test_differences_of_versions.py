"""A configuration of an older version lacks keys that switch nothing on today."""

from tunewright.search.transfer.trial_matching import differences


def test_keys_that_switch_nothing_on_may_be_missing() -> None:
    stored = {"optim": {"lr": 0.1}}
    now = {**stored, "balance": {"type": "none"}, "finetune": {"lr_scales": {}, "type": "none"}}
    assert differences(stored, now) == {}
    other = {**stored, "balance": {"type": "famo"}}
    assert differences(stored, other) == {"balance.type": (None, "famo")}
    assert differences(now, stored) != {}
