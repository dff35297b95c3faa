"""The report of a study: one offline HTML file, and Markdown with its figures. Never imports torch."""

from bench.report.model import ReportOptions, ReportPaths
from bench.report.rendering import render

__all__ = ["ReportOptions", "ReportPaths", "render"]
