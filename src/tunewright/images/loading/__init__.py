"""From files to batches: the store of decoded pixels, streaming, the sampler."""
