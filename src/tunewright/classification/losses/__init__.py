"""Losses for classes of unequal frequency, their class weights, logit adjustment."""
