"""Optuna's evaluators of importance on chosen trials."""
