"""HPCM and the mean-scale hyperprior, block by block."""
