"""Figures as HTML pages and SVG."""
