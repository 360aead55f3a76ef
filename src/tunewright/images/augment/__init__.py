"""Random transforms of whole batches, and MixUp and CutMix."""
