"""Which reader opens which source of images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.data.inputs import PAIRED_FILES
from bench.data.readers.base import Source
from bench.data.readers.faces import faces_source
from bench.data.request import TORCHVISION_SOURCES, DataRequest


@contextmanager
def open_source(request: DataRequest, root: Path, fetch: bool) -> Iterator[Source | None]:
    """Open the source that `request` names; files stay open until the end of the block.

    With `fetch`, a missing source is downloaded where that is possible, else raises BenchError; without, a missing
    source gives None.
    """
    # The imports stay here: torchvision brings torch, and pyarrow is an extra.
    if request.source == "faces":
        yield faces_source(request)
    elif request.source == "celeba":
        from bench.data.readers.celeba import open_celeba

        with open_celeba(request, root, fetch) as source:
            yield source
    elif request.source == "folder" and request.input in PAIRED_FILES:
        from bench.data.readers.pairs import open_pairs

        yield open_pairs(request, fetch)
    elif request.source == "folder":
        from bench.data.readers.folder import open_folder

        yield open_folder(request, fetch)
    elif request.source == "own":
        from bench.data.readers.own import open_own

        yield open_own(request, fetch)
    else:
        assert request.source in TORCHVISION_SOURCES
        from bench.data.readers.torchvision_sets import open_torchvision

        yield open_torchvision(request, root, fetch)
