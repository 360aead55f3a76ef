"""What looks for each kind of finding."""
