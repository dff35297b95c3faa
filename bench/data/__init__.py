"""Images, prepared once into arrays of bytes. Importing this package never imports torch; `bench.data.sampler` does."""

from bench.data.prepared import (
    PreparedData,
    PreparedSet,
    check_conditions_of,
    is_prepared,
    open_prepared,
    prepare,
    present_images,
)
from bench.data.request import DataRequest

__all__ = [
    "DataRequest",
    "PreparedData",
    "PreparedSet",
    "check_conditions_of",
    "is_prepared",
    "open_prepared",
    "prepare",
    "present_images",
]
