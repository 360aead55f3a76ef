"""Trackers copy a run to TensorBoard, MLflow or Weights & Biases; the run folder is the source."""
