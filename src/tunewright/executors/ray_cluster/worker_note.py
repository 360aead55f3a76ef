"""The note in a run folder that says which actor works on it, for the next coordinator."""

from dataclasses import asdict, dataclass
from pathlib import Path

from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder


@dataclass(frozen=True)
class WorkerNote:
    """actor: its name in the cluster. attempt: what it works on. host: where it is."""

    actor: str
    attempt: int
    host: str

    def write(self, folder: RunFolder) -> None:
        """Store it; the actor works in the folder from now on."""
        write_json(_path(folder), asdict(self))


def read_note(folder: RunFolder) -> WorkerNote | None:
    """Return the note on the current attempt; None where there is none."""
    stored = read_json(_path(folder)) or {}
    actor, attempt, host = stored.get("actor"), stored.get("attempt"), stored.get("host")
    if not isinstance(actor, str) or not isinstance(host, str) or attempt != folder.attempt:
        return None
    return WorkerNote(actor, folder.attempt, host)


def _path(folder: RunFolder) -> Path:
    return folder.path / "ray_worker.json"
