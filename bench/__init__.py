"""Compares GAN objectives under one identical architecture."""

__version__ = "0.1.0"
