"""Files of weights that a training starts from, and what is written beside those it keeps."""
