"""Importances of parameters: their form, their intervals, and interactions of pairs."""
