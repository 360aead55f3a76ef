"""A tracker: one JSON file beside the run."""

import json


class Notebook:
    def __init__(self, file):
        self.file = file

    def start(self, run):
        self.path = run.folder.path / self.file
        self.copy = {"config": dict(run.config), "points": {}}

    def log(self, reports):
        for report in reports:
            self.copy["points"][report.step] = dict(report.metrics)
        self.path.write_text(json.dumps(self.copy))

    def finish(self, outcome):
        self.path.write_text(json.dumps(self.copy | {"state": outcome.state}))


def notebook(*, file="notebook.json"):
    return Notebook(file)
