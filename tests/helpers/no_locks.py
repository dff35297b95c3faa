"""A worker on a machine whose locks do not reach the others': `python -m helpers.no_locks MACHINE LOCKS PAUSE ...`.

LOCKS is "unheard" (flock succeeds and reaches nobody, as under NFS `nolock`) or "missing" (it fails, as under Lustre
`noflock`). It trains with a pause of PAUSE seconds a step. What follows are the worker's own arguments.
"""

from __future__ import annotations

import errno
import fcntl
import sys
import time

import bench.owning
import bench.runs.folder
from bench.execution import worker


def flock(file: object, operation: int) -> None:
    if sys.argv[2] == "missing":
        raise OSError(errno.ENOSYS, "Function not implemented")


class SlowStop(worker._StopRequest):
    def __call__(self) -> bool:
        time.sleep(float(sys.argv[3]))
        return super().__call__()


if __name__ == "__main__":
    fcntl.flock = flock  # type: ignore[assignment]
    bench.owning.this_machine = lambda: sys.argv[1]  # type: ignore[assignment]
    bench.runs.folder.TAKE_OVER_SECONDS = 1.0
    worker._StopRequest = SlowStop  # type: ignore[misc]
    sys.exit(worker.main(sys.argv[4:]))
