"""The report of a study: one offline HTML file, and Markdown with its figures. Never imports torch."""

from bench.report.model import ReportOptions, ReportPaths
from bench.report.pictures.walls import shown_folders
from bench.report.render.naming import documents_beside
from bench.report.render.writing import render

__all__ = ["ReportOptions", "ReportPaths", "documents_beside", "render", "shown_folders"]
