"""Results of many trainings, from studies, folders, W&B and CSV files, and what they show."""
