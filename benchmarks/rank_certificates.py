"""Train every objective, and nsgan told labels in each way, over 1, 2 and 4 processes; write down how they differ.

    python benchmarks/rank_certificates.py [--steps 50]

Writes bench/validation/rank_certificates.json, from which cards and docs/objectives.md take certificates. float64 on a
CPU, gloo, D with batch norm where the objective allows it.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

import torch

from bench.files import write_json
from bench.networks.conditioning import Conditioning
from bench.objectives import names
from bench.validation.certificates import RANKS_FILE
from bench.validation.contract.ranks import Trial, certify
from bench.validation.contract.scene import LABELS

WAYS: tuple[Conditioning, ...] = ("concat", "projection", "product")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare every objective's training over 1, 2 and 4 processes.")
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, list[dict[str, object]]] = {}
    for one in certify(names(), (2, 4), Trial(steps=options.steps)):
        print(f"{one.objective:10} {one.ranks} ranks: gradients {one.gradients:.0e}, weights {one.weights:.0e}")
        assert one.holds, one
        values = asdict(one)
        rows.setdefault(values.pop("objective"), []).append(values)
    told: dict[str, list[dict[str, object]]] = {}
    for way in WAYS:
        for one in certify(["nsgan"], (2, 4), Trial(steps=options.steps, factor_sizes=LABELS, conditioning=way)):
            print(f"{way:10} {one.ranks} ranks: gradients {one.gradients:.0e}, weights {one.weights:.0e}")
            assert one.holds, one
            values = asdict(one)
            del values["objective"]
            told.setdefault(way, []).append(values)
    torch_version = torch.__version__.partition("+")[0]
    write_json(
        RANKS_FILE,
        {
            "torch": torch_version,
            "backend": "gloo",
            "rows": rows,
            "told": {"torch": torch_version, "rows": told},
        },
    )


if __name__ == "__main__":
    main()
