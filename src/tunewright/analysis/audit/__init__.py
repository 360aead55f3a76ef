"""Whether a cheap fidelity ranks configurations as full trainings do."""
