"""Deliverables of a trained run: metrics, predictions, exports, submissions, coded files."""
