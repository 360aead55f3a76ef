"""The commands: parse, call, hand the result to `output`."""
