"""Models, losses, metrics and data handling that recipes share."""
