"""What a killed coordinator leaves of a state that it was removing."""

from pathlib import Path

from tunewright.search.loop.paused_states import REMOVED, PausedStates


def test_what_a_kill_left_of_a_removed_state_goes_at_the_next_start(tmp_path: Path) -> None:
    half = tmp_path / "trials/00003" / REMOVED
    half.mkdir(parents=True)
    (half / "last.pt").write_bytes(b"half")
    PausedStates(tmp_path, 1.0, print)
    assert not half.exists()
    assert half.parent.exists()
