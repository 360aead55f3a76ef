"""Search spaces: domains, conditions, rules, and the files they are written in; no torch."""
