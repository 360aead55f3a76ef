"""Photos, their sizes, the store of their pixels, crops for training."""
