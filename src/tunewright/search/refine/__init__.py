"""A search in stages: explore, narrow the space, refine in it, train the winner."""
