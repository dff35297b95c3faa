"""Method cards: what an objective's authors state, with its equations drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.formatting import format_rate, format_setting
from bench.report.figures.svg import equations
from bench.report.model import MethodCard
from bench.report.study import Entry, Study

_LOSSES = (("discriminator_loss", "D minimises"), ("generator_loss", "G minimises"), ("joint_loss", "both minimise"))


def method_cards(study: Study) -> tuple[MethodCard, ...]:
    """Return one card per objective of the study, in the order of its entries."""
    by_objective: dict[str, list[Entry]] = {}
    for entry in study.entries:
        by_objective.setdefault(entry.objective, []).append(entry)
    return tuple(_card(name, entries) for name, entries in by_objective.items())


def _card(name: str, entries: list[Entry]) -> MethodCard:
    card = entries[0].card
    arxiv, published = str(card.get("arxiv") or ""), card.get("published") or {}
    labels = [label for label in dict.fromkeys(entry.label for entry in entries) if label != name]
    facts = [
        ("family", str(card.get("family", ""))),
        ("head", str(card.get("head", ""))),
        ("norms allowed in D", ", ".join(map(str, card.get("norms", [])))),
        ("generated images per real one", _more_than_one(card.get("fakes_per_real"))),
        ("settings", _settings(card)),
        ("authors’ recipe", _published(published)),
        ("stated in", str(published.get("source", ""))),
        ("read at", ", ".join(map(str, published.get("references", ())))),
        ("not found", str(published.get("not_found", ""))),
        ("over several ranks", str(card.get("ranks", ""))),
        ("entries here", ", ".join(labels)),
    ]
    return MethodCard(
        name=name,
        title=str(card.get("title", name)),
        source=f"{card.get('authors', '')} ({card.get('year', '')}). {card.get('paper', '')}. arXiv {arxiv}",
        link=f"https://arxiv.org/abs/{arxiv}" if re.fullmatch(r"\d{4}\.\d{4,5}", arxiv) else None,
        family=str(card.get("family", "")),
        losses=tuple((who, equations(str(card[key]))) for key, who in _LOSSES if card.get(key)),
        facts=tuple((what, value) for what, value in facts if value),
        notes=tuple(map(str, card.get("notes", ()))),
        code_differences=tuple(map(str, card.get("code_differences", ()))),
    )


def _settings(card: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{name} {format_setting(value['default'])}"
        + (f" ({value['description']})" if value.get("description") else "")
        for name, value in card.get("settings", {}).items()
    )


def _more_than_one(value: object) -> str:
    return format_setting(value) if value not in (None, 1) else ""


def _published(published: Mapping[str, Any]) -> str:
    if not published:
        return ""
    d, g = published["learning_rate_discriminator"], published["learning_rate_generator"]
    rates = format_rate(g) if d == g else f"{format_rate(d)} (D), {format_rate(g)} (G)"
    betas = f" {format_setting(published['betas'])}" if published["optimizer"] == "adam" else ""
    name = {"adam": "Adam", "rmsprop": "RMSProp"}.get(published["optimizer"], str(published["optimizer"]))
    extra = "".join(f", {key} {format_setting(value)}" for key, value in (published.get("settings") or {}).items())
    steps = published["discriminator_steps"]
    return f"{name}{betas}, learning rate {rates}, D steps per G step {steps}, D norm {published['norm']}{extra}"
