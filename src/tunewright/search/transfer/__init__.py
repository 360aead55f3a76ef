"""Import trials of other studies, tables and earlier spaces."""
