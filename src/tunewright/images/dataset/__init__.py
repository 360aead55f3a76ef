"""Tables of pictures split into train, validation and test, checked for leaks."""
