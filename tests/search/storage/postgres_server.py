"""A PostgreSQL server of the tests' own: started, stopped, restarted and killed at will."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

PLACES = ("/usr/local/bin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1]))


def found(program: str) -> str | None:
    """A program of PostgreSQL, on PATH or where distributions put it."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


def missing() -> str:
    """Why no server can be started here; empty when one can."""
    if not found("initdb") or not found("postgres"):
        return "no PostgreSQL server is installed (initdb, postgres)"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
    return ""


def _user() -> str | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return None


class Server:
    """One cluster in a folder of its own; TCP on a free port, and a socket in the folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tunewright-pg-"))
        self._as: dict[str, object] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(str(_user()))
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        password = self.folder / "password"
        password.write_text("secret\n")
        password.chmod(0o644)
        rules = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}")
        self._run("initdb", "-D", self.data, "-U", "tuner", "--no-sync", "-E", "UTF8", *rules)
        self.start()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def url(self, name: str = "postgres", *, password: bool = True) -> str:
        user = "tuner:secret" if password else "tuner"
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}"

    def socket_url(self, name: str = "postgres") -> str:
        return f"postgresql://tuner@/{name}?host={self.folder}&port={self.port}"

    def start(self) -> None:
        command = [str(found("postgres")), "-D", self.data, "-p", str(self.port)]
        settings = [
            f"unix_socket_directories={self.folder}",
            "listen_addresses=127.0.0.1",
            "fsync=off",
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *(word for line in settings for word in ("-c", line))],
                cwd=self.folder,
                stderr=log,
                **self._as,  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + 30.0
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.05)

    def stop(self) -> None:
        """As an administrator does in a hurry: connections are cut, the data are whole."""
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(30)
            self._process = None

    def execute(self, line: str, name: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            cursor = connection.execute(line)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [str(found(program)), *words],
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            **self._as,  # type: ignore[call-overload]
        )
