"""Simulator, training and evaluation of the fraud model. Not part of the installed service."""
