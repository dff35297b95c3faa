"""Tables as LaTeX: booktabs and nothing else. Every text is escaped, what no font has spelled out."""

from __future__ import annotations

from collections.abc import Iterable

from bench.report.model import Cell, Table
from bench.report.sections.paper import paper_tables
from bench.report.study import Study

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "\u00a0": "~",
    "−": "$-$",
    "–": "--",
    "’": "'",
    "“": "``",
    "”": "''",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "∞": r"$\infty$",
    # Brackets at a line's beginning would be the optional argument of \\ before it.
    "[": "{[}",
    "]": "{]}",
}
_LETTERS = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝ")


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is: one line, no command, no letter that pdflatex would stop at."""
    return "".join(map(_escaped, text))


def latex_tables(study: Study) -> dict[str, str]:
    """Return every LaTeX table by its file's name: the comparison of each protocol, and all headline metrics."""
    return {f"{table.name}.tex": table_latex(table, study.plan["study"]) for table in paper_tables(study)}


def table_latex(table: Table, study: str) -> str:
    """Write a table with its label, `tab:<study>-<name>`: each cell in one line, its states in parentheses."""
    columns = "".join("r" if heading.numeric else "l" for heading in table.headings)
    lines = [
        r"% Needs \usepackage{booktabs}; UTF-8 (the default since 2018).",
        r"\begin{table}",
        r"  \centering",
        r"  \small",
        rf"  \caption{{{escape(table.caption)}}}",
        rf"  \label{{tab:{_plain(study)}-{table.name}}}",
        rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"    \toprule",
        _line(heading.text for heading in table.headings),
        r"    \midrule",
        *(_line(map(_cell_text, row.cells)) for row in table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cell_text(cell: Cell) -> str:
    states = f"({', '.join(cell.badges)})" if cell.badges else ""
    return " ".join(part for part in (cell.text, *cell.detail.splitlines(), states) if part)


def _line(cells: Iterable[str]) -> str:
    return "    " + " & ".join(escape(cell) for cell in cells) + r" \\"


def _escaped(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if " " <= letter <= "~" or letter in _LETTERS:
        return letter
    return " " if letter.isspace() else rf"\texttt{{U+{ord(letter):04X}}}"


def _plain(name: str) -> str:
    """Return a name that is safe in a label."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-.") else "-" for letter in name)
