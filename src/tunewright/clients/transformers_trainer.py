"""Report the evaluations of the `transformers` Trainer: `Trainer(callbacks=[...])`.

Checkpoints survive a pause where they are written into `tunewright.client.checkpoint_dir()`::

    folder = tw.checkpoint_dir("output")
    arguments = TrainingArguments(folder, eval_strategy="epoch", save_strategy="epoch")
    trainer = Trainer(model, arguments, ..., callbacks=[TransformersCallback()])
    trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))
"""

from typing import Any

from transformers import TrainerCallback

from tunewright import client


class TransformersCallback(TrainerCallback):  # type: ignore[misc]
    """Reports each evaluation, and ends the training where the study asks for it.

    A step is an epoch where the Trainer evaluates by epochs, else a step of the optimizer.
    """

    def __init__(self) -> None:
        self._stopped, self._begun_at = False, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_others: Any) -> None:
        """Note where the training begins, or goes on."""
        self._begun_at = state.global_step

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_others: Any
    ) -> None:
        """Report the metrics, but those of an evaluation before the training."""
        if state.global_step == self._begun_at or not metrics:
            return
        by_epoch = str(getattr(args.eval_strategy, "value", args.eval_strategy)) == "epoch"
        step = round(state.epoch) if by_epoch else state.global_step
        found = {name: value for name, value in metrics.items() if name != "epoch"}
        try:
            client.report(step, found)
        except client.Stop:
            self._stopped = control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_others: Any) -> None:
        """End the script, so that it does not go on as after a whole training."""
        if self._stopped:
            raise client.Stop(0)
