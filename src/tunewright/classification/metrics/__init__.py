"""Accuracy, recall by class and group, calibration, intervals."""
