"""The state of a training: what a checkpoint holds, the best epoch, and when training ends."""
