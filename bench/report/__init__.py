"""The report of a study: one offline HTML file, and Markdown with its figures. Never imports torch."""

from bench.report.model import ReportOptions, ReportPaths
from bench.report.rendering import render
from bench.report.walls import shown_folders

__all__ = ["ReportOptions", "ReportPaths", "render", "shown_folders"]
