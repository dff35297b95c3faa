"""The tables for papers, as LaTeX: booktabs and nothing else. Every text is escaped, what no font has spelled out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.report.sections.tables import ordered
from bench.report.sections.verdicts import resolution_note, same_sentence
from bench.report.study import Entry, Study
from bench.report.words import (
    NOTHING,
    PERCENT_95,
    describe_metric,
    difference_text,
    losses,
    metric_heading,
    plural,
    value_text,
)
from bench.statistics import Summary

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
    tables = {f"results-{protocol}": _comparison(study, protocol) for protocol in study.protocols}
    return {f"{name}.tex": text for name, text in (tables | {"metrics": _metrics(study)}).items()}


def _comparison(study: Study, protocol: str) -> str:
    rows = ordered(study, protocol)
    ranked = any(summary.rank is not None for _, summary in rows)
    compared = any(summary.difference is not None for _, summary in rows)
    head = [
        *(["rank", "group"] if ranked else []),
        "objective",
        metric_heading(study.primary),
        *([f"difference to {study.plan['baseline']}", "verdict"] if compared else []),
        "runs",
    ]
    body = []
    for entry, summary in rows:
        standing = study.standing(entry)
        rank = NOTHING if summary.rank is None else str(summary.rank)
        letters = standing.letters if standing and standing.letters else NOTHING
        lost = losses(summary) + ([f"{summary.collapsed} collapsed"] if summary.collapsed else [])
        body.append(
            [
                *([rank, letters] if ranked else []),
                entry.label,
                _joined(value_text(summary)),
                *([_joined(difference_text(summary)), _verdict(study, entry)] if compared else []),
                f"{summary.done}/{summary.planned}" + (f" ({', '.join(lost)})" if lost else ""),
            ]
        )
    caption = (
        f"{describe_metric(study.primary).title} at generator step {study.plan['final_step']:,}, {protocol} protocol, "
        f"{plural(len(study.seeds), 'seed')}: mean and {PERCENT_95} interval over seeds. "
        + ("Rows that share a letter are not told apart. " if ranked else "Not ranked. ")
        + resolution_note(study, protocol)
        + ("Verdicts: Welch's test (ranks where a run was lost), Holm's correction, 5\u00a0%. " if compared else "")
        + same_sentence(study, protocol)
    )
    columns = ("rl" if ranked else "") + "lr" + ("rl" if compared else "") + "l"
    return _table(study, f"results-{protocol}", caption, columns, head, body)


def _metrics(study: Study) -> str:
    metrics = study.headline_metrics()
    body = [
        [entry.label, entry.protocol, *(_with_basis(study.summary(entry, metric)) for metric in metrics)]
        for protocol in study.protocols
        for entry, _ in ordered(study, protocol)
    ]
    shown = [summary for summary in study.summaries if summary.metric in metrics]
    partial = (
        "(k of n): only k of the n planned runs have a score, and all else in the cell is of these; it flatters where "
        "the others were lost. "
        if any(summary.basis for summary in shown)
        else ""
    )
    caption = (
        f"Headline metrics at generator step {study.plan['final_step']:,}, {plural(len(study.seeds), 'seed')}: mean "
        f"and {PERCENT_95} interval over seeds. {partial}Only {describe_metric(study.primary).title} ranks."
    )
    head = ["objective", "protocol", *map(metric_heading, metrics)]
    return _table(study, "metrics", caption, "ll" + "r" * len(metrics), head, body)


def _verdict(study: Study, entry: Entry) -> str:
    found = study.comparison(entry)
    if found is None:
        return "baseline" if entry.label == study.plan["baseline"] else NOTHING
    return found.verdict or "not judged"


def _with_basis(summary: Summary) -> str:
    """Return a mean and its interval, and over how many of the planned runs where it is not over all."""
    over = f"({len(summary.values)} of {summary.planned})" if summary.basis else ""
    return _joined((*value_text(summary), over))


def _joined(value: Iterable[str]) -> str:
    return " ".join(part for part in value if part)


def _table(
    study: Study, name: str, caption: str, columns: str, head: Sequence[str], body: Iterable[Sequence[str]]
) -> str:
    lines = [
        r"% Needs \usepackage{booktabs}; UTF-8 (the default since 2018).",
        r"\begin{table}",
        r"  \centering",
        r"  \small",
        rf"  \caption{{{escape(caption.strip())}}}",
        rf"  \label{{tab:{_plain(study.plan['study'])}-{name}}}",
        rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"    \toprule",
        _line(head),
        r"    \midrule",
        *map(_line, body),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
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
