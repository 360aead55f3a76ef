"""The interface to Optuna: studies, samplers, pruners, trials."""
