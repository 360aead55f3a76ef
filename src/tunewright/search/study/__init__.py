"""The one door to Optuna: studies, samplers, pruners, trials."""
