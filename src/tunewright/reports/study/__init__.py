"""The report of a study: one page, and its figures one by one."""
