"""Measuring generators: samples, feature extractors, metrics. Importing this package never imports torch."""
