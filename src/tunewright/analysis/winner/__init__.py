"""The reliable winner of a search: replicates, racing, shrunk estimates and ties."""
