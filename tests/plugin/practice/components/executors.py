"""An executor: this process, counting what it starts."""

from tunewright.executors.inline import InlineExecutor


class Counted(InlineExecutor):
    def __init__(self, request, most):
        super().__init__(request.on_report, run_override=request.run_override)
        self.left = most

    def start(self, folders, need):
        self.left -= len(folders)
        assert self.left >= 0, "more runs than `most`"
        return super().start(folders, need)


def counted(request, /, *, most=1000):
    return Counted(request, most)
