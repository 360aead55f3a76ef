"""A fork server that dies is replaced, with real processes."""

import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing.forkserver as server, os, signal, sys, time
from tunewright.executors import forkserver

forkserver.PRELOAD[:] = []  # torch takes seconds
forkserver.PAUSE_SECONDS = 0.05

def answer(pipe):
    forkserver.follow(pipe, lambda message: pipe.send(message + 1))
    time.sleep(60)

def asked():
    process, pipe = forkserver.start_process(answer, name="one", script=True)
    pipe.send(1)
    assert pipe.poll(20), "no answer"
    found = pipe.recv()
    pipe.close()
    process.join(20)
    return found

def kill_server():
    pid = server._forkserver._forkserver_pid
    os.kill(pid, signal.SIGKILL)
    if sys.argv[1] == "reaped":
        time.sleep(0.2)
    return pid

if __name__ == "__main__":
    assert asked() == 2
    for _ in range(2):
        before = kill_server()
        assert asked() == 2
        assert server._forkserver._forkserver_pid != before
    forkserver._start = lambda *_: (_ for _ in ()).throw(EOFError)
    try:
        asked()
    except forkserver.RunError as error:
        print(error)
"""


@pytest.mark.parametrize("moment", ["reaped", "at once"])
def test_a_server_that_dies_is_replaced(moment: str, tmp_path) -> None:
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, file, moment], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no worker process could be started (EOFError" in done.stdout
    assert "the same command resumes" in done.stdout
