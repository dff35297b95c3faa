"""A process that trains runs, `python -m bench.validation.modes.worker FOLDER`: a job a line in, an answer a line out.

One process does many runs, because importing torch takes longer than some of them.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from bench.files import write_atomic
from bench.validation.modes.jobs import Job, points_file
from bench.validation.modes.tasks import STACKED


def main() -> int:
    """Serve until the pipe ends."""
    from bench.training.environment import prepare_process

    prepare_process(threads=1)
    results, sys.stdout = sys.stdout, sys.stderr  # a stray print must not get between the results
    for line in sys.stdin:
        print(json.dumps(_answer(Job.model_validate_json(line), Path(sys.argv[1]))), file=results, flush=True)
    return 0


def _answer(job: Job, folder: Path) -> dict[str, Any]:
    """Return {"record": ...}, or {"error": ...} saying why there is none."""
    try:
        return {"record": train(job, folder)}
    except Exception as error:  # one run's failure costs that run alone
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def train(job: Job, folder: Path) -> dict[str, Any]:
    """Train one run and return its record; the points that it made are left in `folder`/points."""
    import numpy as np

    from bench.validation.modes.digits import train_stacked
    from bench.validation.modes.training import as_record, train_points

    trained = train_stacked(job, folder) if job.task == STACKED.name else train_points(job)
    if trained.points is not None:
        content = io.BytesIO()
        np.save(content, trained.points.astype(np.float16))  # for the figure: the counts were made before
        write_atomic(points_file(folder, job.id), content.getvalue())
    return as_record(job, trained)


if __name__ == "__main__":
    sys.exit(main())
