"""Mode dropping, counted exactly: Gaussian mixtures in the plane and stacked digits, trained through the one step.

Tables and counting never import torch; only the worker processes do.
"""
