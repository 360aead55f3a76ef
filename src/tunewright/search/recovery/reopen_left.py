"""Let trials that a finished search left at a rung wait again, when the study gets more trials."""

from dataclasses import replace

import optuna

from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Trial
from tunewright.search.recovery.retry_failed import forget_end
from tunewright.search.storage.database import Settings, close_storage, open_storage
from tunewright.search.storage.database_errors import storage_errors
from tunewright.search.study.optuna_types import record_of
from tunewright.search.study.trial_tags import AVOIDED, GOOD, PAUSED, SPANS


def reopen_left(
    url: str, name: str, settings: Settings, folder: StudyFolder, total: int
) -> list[Trial]:
    """Make the trials that wait at a rung unfinished again; return them.

    total: trials that the study shall have; nothing is done where it has them. A kill in the middle
    leaves trials that ended, which the same call reopens.
    """
    storage = open_storage(url)
    try:
        with storage_errors(url):
            study = optuna.load_study(study_name=name, storage=storage)
            record = record_of(study, settings)
            if len(record.own) >= total:
                return []
            left = [t for t in record.own if t.state == "pruned" and t.rung]
            for trial in left:
                run = folder.trial(trial.number)
                if (outcome := run.read_outcome()) is not None:
                    run.write_outcome(replace(outcome, state="paused", reason=""))
            numbers = {trial.number for trial in left}
            stored = [t for t in study.get_trials(deepcopy=False) if t.number in numbers]
            with storage.engine.begin() as connection:
                for one in stored:
                    forget_end(connection, one, {AVOIDED, GOOD, PAUSED, SPANS}, keeps_curve=True)
            return left
    finally:
        close_storage(url, storage)
