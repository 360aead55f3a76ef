"""Files made of a classifier: exports, predictions, submissions, measured costs."""
