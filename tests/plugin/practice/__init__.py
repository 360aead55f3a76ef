"""Small recipes: one ends in every way a run can, one trains, one is shaped as a guide's is."""
