"""Zero-shot scores, retrieval, a probe and baselines of a trained run."""
