"""Where an authors' recipe was read: what `Published.references` may hold, and its address."""

from __future__ import annotations

import re

_REFERENCE = re.compile(
    r"arXiv (?P<arxiv>\d{4}\.\d{4,5})(, [^,].*)?"
    r"|(?P<repository>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{7,40})(:(?P<path>[^#\s]+)(#(?P<place>[\w-]+))?)?"
)


def reference_url(reference: str) -> str:
    """Return the address of one of `Published.references`. Raises ValueError where it is written otherwise."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise ValueError(f'"{reference}" is neither "arXiv 1701.07875, section 4" nor "owner/repository@commit:path"')
    if found["arxiv"]:
        return f"https://arxiv.org/abs/{found['arxiv']}"
    at = f"https://github.com/{found['repository']}"
    if not found["path"]:
        return f"{at}/tree/{found['commit']}"
    lines = f"#{found['place']}" if re.fullmatch(r"L\d+(-L\d+)?", found["place"] or "") else ""
    return f"{at}/blob/{found['commit']}/{found['path']}{lines}"
