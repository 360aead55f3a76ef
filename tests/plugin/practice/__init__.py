"""Two small recipes: `quadratic` ends in every way a run can, `blobs` goes through the trainer."""
