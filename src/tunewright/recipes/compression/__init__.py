"""Learned image compression: HPCM and a mean-scale hyperprior, in training and in files."""
