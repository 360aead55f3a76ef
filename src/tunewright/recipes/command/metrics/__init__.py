"""How the metrics of a script are read: from its output, a file, or the client."""
