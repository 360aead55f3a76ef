"""Packages that stand in for others in the scripts of a study, by the name of the other."""
