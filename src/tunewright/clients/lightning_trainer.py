"""Report the validations of Lightning's Trainer: `Trainer(callbacks=[...])`.

Checkpoints survive a pause where they are written into `tunewright.client.checkpoint_dir()`::

    folder = tw.checkpoint_dir("output")
    keep = ModelCheckpoint(folder, save_last=True)
    trainer = Trainer(max_epochs=10, callbacks=[keep, LightningCallback()])
    last = folder / "last.ckpt"
    trainer.fit(model, data, ckpt_path=last if last.exists() else None)
"""

from typing import Any

from lightning.pytorch import Callback

from tunewright import client


class LightningCallback(Callback):  # type: ignore[misc]
    """Reports what is logged by the end of each epoch, and ends the training on request.

    The validation before the training, a check of its code, is not reported.
    """

    def __init__(self) -> None:
        self._stopped = False

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what the epoch and its validation have logged."""
        try:
            client.report(trainer.current_epoch + 1, dict(trainer.callback_metrics))
        except client.Stop:
            self._stopped = trainer.should_stop = True

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """End the script, so that it does not go on as after a whole training."""
        if self._stopped:
            raise client.Stop(0)
