"""Workers in jobs of a batch system, which take orders through files in a shared folder."""
