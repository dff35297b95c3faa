"""From the report's model to files: HTML, Markdown, LaTeX, and the manifest of what was written."""
