"""How numbers are put into words, everywhere alike."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Write seconds as people say them: 45 s, 3 min 20 s, 2 h 05 min, 3 d 04 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02d} h"


def data_size(size_bytes: int) -> str:
    """Write an amount of data as people say it: 512 bytes, 4.2 kB, 83 MB, 2.1 GB."""
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{size_bytes} bytes" if size_bytes < 1000 else f"{value:.3g} {unit}"
