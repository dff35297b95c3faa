"""What the website does to the files of docs/: pages from beside that folder, equations, links to source files.

In the repository the README is the first page and links point to files. On the website it is index.md, other pages
beside docs/ come along, figures of the published example too, and a link to a source file becomes its path.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Pages beside docs/, and what they are called on the website.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
# Reports are published whole; on the website a link to the Markdown leads to the page that has everything.
REPORTS = ("reports/faces/report", "reports/faces-labels/report")
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?(\))|(<img src=\")([^\"]+)()(\")")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    fence = {"name": "math", "class": "math", "format": equation}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    linked = {target for name in PAGES for target in _targets((ROOT / name).read_text(encoding="utf-8"))}
    for target in sorted({*linked, *(f"{report}.html" for report in REPORTS), "LICENSE"}):
        if (target.startswith("reports/") and not target.endswith(".md")) or target == "LICENSE":
            files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    names = {new: old for old, new in PAGES.items()}
    folder = "" if page.file.src_uri in names else "docs"

    def moved(link: re.Match[str]) -> str:
        before, target, anchor, after = (group or "" for group in (link.groups()[:4] if link[1] else link.groups()[4:]))
        if re.match(r"[a-z]+:", target):
            return link[0]
        file = posixpath.normpath(posixpath.join(folder, target))
        there = PAGES.get(file, file.removeprefix("docs/"))
        if file.removesuffix(".md") in REPORTS:
            there = f"{file.removesuffix('.md')}.html"
        if files.get_file_from_path(there) is None and (ROOT / file).exists():
            return f"`{file}`"  # a source file, which the website has not
        return f"{before}{there}{anchor}{after}"

    return _LINK.sub(moved, markdown)


def equation(source: str, *arguments: Any, **options: Any) -> str:
    """Return the MathML of a fence ```math, which browsers draw without a script."""
    return f'<div class="math">{convert(source, display="block")}</div>'


def _targets(markdown: str) -> list[str]:
    return [link[2] or link[6] for link in _LINK.finditer(markdown)]
