"""What `bench list` says: the objectives, studies, datasets and metrics to choose from."""

from __future__ import annotations

from bench.config.models import Config, Study, expanded_entries

Rows = list[dict[str, object]]


def listing(kind: str, config: Config) -> Rows:
    """Return a row for each objective, study, dataset or metric. Those of objectives import torch."""
    return {"objectives": _objectives, "studies": _studies, "datasets": _datasets, "metrics": _metrics}[kind](config)


def _objectives(config: Config) -> Rows:
    from bench.validation.gallery import all_facts, shown

    return [
        {
            "name": facts.name,
            "year": facts.card["year"],
            "family": facts.card["family"],
            "head": facts.card["head"],
            "norms": facts.norms,
            "needs": ", ".join(facts.needs),
            "step_cost": facts.cost_text,
            "settings": ", ".join(f"{key}={shown(value['default'])}" for key, value in facts.card["settings"].items()),
        }
        for facts in all_facts()
    ]


def _studies(config: Config) -> Rows:
    rows: Rows = []
    for name, study in config.studies.items():
        rows.append(
            {
                "name": name + (" (default)" if name == config.default_study else ""),
                "data": f"{study.data.title} {study.data.resolution}px",
                "width": study.backbone.width,
                "generator_steps": f"{study.budget.generator_steps:,}",
                "runs": _runs(study),
                "title": study.title,
            }
        )
    return rows


def _runs(study: Study) -> int:
    """Count a study's runs on all its backbones, A/A arms with them. An entry with its own recipe has one protocol."""
    return (1 + len(study.backbones)) * sum(
        (len(study.seeds) + (len(study.twin_seeds) if entry.label == study.baseline else 0))
        * (1 if entry.custom else len(study.protocols))
        for entry in expanded_entries(study)
    )


def _datasets(config: Config) -> Rows:
    return [
        {"name": "faces", "needs": "nothing: drawn here", "what": "shaded heads from 10 discrete factors, 1,080 modes"},
        {"name": "celeba", "needs": "the archive, its folder or parquet shards", "what": "202,599 aligned photographs"},
        {"name": "mnist", "needs": "a download", "what": "70,000 digits at 32x32"},
        {"name": "fashion-mnist", "needs": "a download", "what": "70,000 pieces of clothing at 32x32"},
        {"name": "cifar10", "needs": "a download", "what": "60,000 photographs at 32x32"},
        {
            "name": "folder",
            "needs": "a folder of images",
            "what": "any images, cropped to squares, or aligned CelebA by name",
        },
        {"name": "own", "needs": "a Python file of yours", "what": "images that your own file gives, see bench new"},
    ]


def _metrics(config: Config) -> Rows:
    from bench.metrics.catalogue import METRICS

    return [
        {
            "name": info.name,
            "better": info.better or "near its floor",
            "ranks": "yes" if info.ranks else "no",
            "title": info.title,
            "source": info.source,
        }
        for info in METRICS.values()
    ]
