"""The lease on a folder: one holder, whatever the clocks say and however late writes are seen."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunewright.errors import LeaseHeld, LeaseLost, NotWritten
from tunewright.runs.lease import holder, lease, lease_files
from tunewright.runs.lease.holder import Host, fate_of, read_holder, this_process
from tunewright.runs.lease.lease import ContentLease, read_lease

HOLD = """
import sys, time
from pathlib import Path
from tunewright.errors import LeaseHeld, LeaseLost
from tunewright.runs.lease import holder, lease

folder, name, seconds, when = sys.argv[1:]
lease.BEAT_SECONDS, lease.LEASE_SECONDS, lease.LOOK_SECONDS = 0.1, float(seconds), 0.05
if name:
    holder.this_host = lambda: holder.Host(name, name, name, "pid:[1]")
while time.time() < float(when):
    pass
try:
    held = lease.ContentLease(Path(folder), "it")
except LeaseHeld as error:
    print("refused", error.came, flush=True)
    sys.exit()
print("holds", held.number, flush=True)
for line in sys.stdin:
    try:
        held.verify()
    except LeaseLost as error:
        print("lost", error.came, flush=True)
    else:
        print("writes", flush=True)
held.release()
"""
"""A holder: `python -c HOLD FOLDER HOST LEASE_SECONDS BEGIN`; it answers each line on its input."""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts holders; ends those that are left."""
    begun: list[subprocess.Popen[str]] = []

    def begin(host: str = "", seconds: float = 60.0, when: float = 0.0) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HOLD, str(tmp_path), host, str(seconds), str(when)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen(command, **pipes))
        return begun[-1]

    yield begin
    for process in begun:
        process.send_signal(signal.SIGCONT)
        process.kill()
        if process.stdin is not None and process.stdin.closed:
            process.stdin = None  # which `communicate` would flush
        process.communicate()


def hear(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(process: "subprocess.Popen[str]") -> str:
    assert process.stdin is not None
    process.stdin.write("?\n")
    process.stdin.flush()
    return hear(process)


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.02)


def other_host(**changes: Any) -> dict[str, Any]:
    """The lease of a process of another host."""
    host = {"host": "elsewhere", "machine": "m", "boot": "b", "namespace": "n"}
    return {**this_process().as_stored(), **host, "count": 1, **changes}


def leave(folder: Path, values: dict[str, Any]) -> None:
    """Leave a lease as another process would."""
    (folder / lease.NAME).mkdir(exist_ok=True)
    number = read_lease(folder).number + 1
    assert lease_files.make_next(folder / lease.NAME, number, values)


class TestOneHolder:
    """Of several processes, one has the lease."""

    def test_of_those_that_start_at_the_same_moment_one_wins(self, start: Start) -> None:
        winners = []
        for _ in range(2):
            when = time.time() + 2.0
            said = [hear(p) for p in [start(when=when) for _ in range(3)]]
            refused = [line for line in said if line.startswith("refused it is in use by process")]
            holding = [line for line in said if line.startswith("holds")]
            assert len(holding) + len(refused) == 3, said
            winners.append(len(holding))
        assert winners == [1, 0], "the first one still holds it"

    def test_of_two_hosts_too(self, start: Start, tmp_path: Path) -> None:
        leave(tmp_path, other_host())
        when = time.time() + 1.5
        two = [start("here", 2.0, when), start("there", 2.0, when)]
        assert sorted(hear(p).split()[0] for p in two) == ["holds", "refused"]

    def test_one_without_hard_links_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        held = ContentLease(tmp_path, "it")
        with pytest.raises(LeaseHeld):
            ContentLease(tmp_path, "it")
        held.release()
        ContentLease(tmp_path, "it").release()

    def test_a_killed_one_is_followed_at_once(self, start: Start, tmp_path: Path) -> None:
        process = start()
        assert hear(process) == "holds 1"
        process.kill()
        process.wait()
        began = time.monotonic()
        held = ContentLease(tmp_path, "it", notice=pytest.fail)
        assert time.monotonic() - began < lease.LEASE_SECONDS / 2, "the process was looked up"
        assert held.predecessor is not None
        assert held.predecessor.pid == process.pid
        held.release()

    def test_one_that_waits_gets_it_after_the_release(self, start: Start, tmp_path: Path) -> None:
        process = start()
        hear(process)
        assert process.stdin is not None
        process.stdin.close()
        held = ContentLease(tmp_path, "it", waits=True)
        assert held.number == 2
        held.release()
        assert not read_lease(tmp_path).is_held


class TestTakeover:
    """A holder elsewhere that is silent is followed, and notices it when it wakes up."""

    def test_one_that_was_stopped_sees_that_it_lost(self, start: Start, tmp_path: Path) -> None:
        old = start("old", 1.0)
        assert hear(old) == "holds 1"
        assert ask(old) == "writes"
        old.send_signal(signal.SIGSTOP)
        new = start("new", 1.0)
        assert hear(new) == "holds 2"
        old.send_signal(signal.SIGCONT)
        assert ask(old).startswith("lost it was taken over by process")
        assert ask(new) == "writes"
        assert read_lease(tmp_path).number == 2

    def test_one_that_lives_is_not_taken_over(self, start: Start) -> None:
        old = start("old", 2.0)
        hear(old)
        assert hear(start("new", 2.0)).startswith("refused it is in use by process")
        assert ask(old) == "writes"

    @pytest.mark.usefixtures("_short")
    def test_the_wait_is_told_with_its_end(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(lease, "TELL_SECONDS", 0.3)
        leave(tmp_path, other_host())
        told: list[str] = []
        ContentLease(tmp_path, "the folder", notice=told.append).release()
        assert "left by process" in told[0]
        assert "taking over in 1 s" in told[0]
        assert len(told) >= 3
        assert all("is silent: taking over in" in line for line in told[1:])

    @pytest.mark.usefixtures("_short")
    def test_a_torn_lease_is_one_of_nobody_known(self, tmp_path: Path) -> None:
        (tmp_path / lease.NAME).mkdir()
        (tmp_path / lease.NAME / "000007.json").write_text('{"host": "x')
        held = ContentLease(tmp_path, "it")
        assert held.number == 8
        held.release()

    def test_late_writes_are_no_silence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reader that sees each renewal of the other half a lease late still sees it."""
        monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
        monkeypatch.setattr(lease, "LOOK_SECONDS", 0.05)
        (tmp_path / lease.NAME).mkdir()
        leave(tmp_path, other_host(count=0))
        began, read = time.monotonic(), lease.read_newest

        def late(folder: Path) -> lease_files.StoredLease:
            count = max(0, int(time.monotonic() - began - 1.0) * 2)
            values = json.dumps(other_host(count=count)).encode()
            return lease_files.StoredLease(read(folder).number, values)

        monkeypatch.setattr(lease, "read_newest", late)
        with pytest.raises(LeaseHeld):
            ContentLease(tmp_path, "it")

    def test_one_that_sees_the_next_holder_late_still_loses(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its stale view says that the old lease is silent; the server makes no file twice."""
        monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
        leave(tmp_path, other_host())
        stale = read_lease(tmp_path)
        leave(tmp_path, other_host(host="faster"))
        views, read = iter([stale, stale]), lease.read_newest

        def late(folder: Path) -> lease_files.StoredLease:
            time.sleep(0.3)
            return next(views, None) or read(folder)

        monkeypatch.setattr(lease, "read_newest", late)
        held = ContentLease(tmp_path, "it")
        assert held.number == 3
        assert held.predecessor is not None
        assert held.predecessor.host.name == "faster"
        held.release()


class TestFullDisk:
    """A holder that cannot renew its lease says so before others may take over."""

    def test_a_disk_that_stays_full_ends_the_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = ContentLease(tmp_path, "it")

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(lease_files, "_fill", full)
        held.verify()  # it was renewed a moment ago
        monkeypatch.setattr(lease, "LEASE_SECONDS", 0.0)
        with pytest.raises(NotWritten, match=r"No space left on device.*Free space"):
            held.verify()
        monkeypatch.undo()
        held.verify()
        held.release()
        assert [path.name for path in (tmp_path / lease.NAME).iterdir()] == ["000001.json"]

    def test_one_that_lost_its_lease_writes_nothing(self, tmp_path: Path, monkeypatch: Any) -> None:
        held = ContentLease(tmp_path, "it")
        leave(tmp_path, other_host())
        monkeypatch.setattr(lease, "LEASE_SECONDS", 0.0)
        for _ in range(2):
            with pytest.raises(LeaseLost, match=r"process \d+ on elsewhere"):
                held.verify()
        before = read_lease(tmp_path)
        held.release()
        assert read_lease(tmp_path) == before


class TestHosts:
    """Which processes can be looked up from here."""

    def test_equal_names_are_not_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(holder, "this_host", lambda: Host("box", "m", "boot", "pid:[7]"))
        stored = this_process().as_stored()
        fates = {
            "the same container": {},
            "another container of the machine": {"namespace": "pid:[8]"},
            "a container of another machine": {"boot": "other"},
            "another name": {"host": "other"},
        }
        found = {}
        for name, changes in fates.items():
            one = read_holder({**stored, **changes})
            assert one is not None
            found[name] = fate_of(one)
        assert list(found.values()) == ["alive", "unknown", "unknown", "unknown"], found

    def test_after_a_restart_of_the_machine_all_are_dead(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine = Host("box", "m", "boot", holder.FIRST_NAMESPACE)
        monkeypatch.setattr(holder, "this_host", lambda: machine)
        stored = read_holder({**this_process().as_stored(), "boot": "before"})
        assert stored is not None
        assert fate_of(stored) == "dead"

    def test_a_number_that_was_given_again_is_another_process(self) -> None:
        stored = read_holder({**this_process().as_stored(), "born": "1"})
        assert stored is not None
        assert fate_of(stored) == "dead"
