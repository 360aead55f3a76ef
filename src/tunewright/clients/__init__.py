"""Callbacks that report a trainer's epochs to the study that started its script."""
