"""The golden histories on disk: a compressed JSON document for each path.

Equal runs produce equal files. Histories in a subfolder are of an earlier release, whose open runs have to
continue; they are never recorded again.
"""

import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "histories"
_SUFFIX = ".json.gz"


def names() -> set[str]:
    """Return the names of the recorded paths; those of an earlier release include their folder."""
    files = FOLDER.rglob(f"*{_SUFFIX}")
    return {file.relative_to(FOLDER).as_posix().removesuffix(_SUFFIX) for file in files}


def read(name: str) -> str:
    """Return one recorded history as JSON."""
    return gzip.decompress((FOLDER / f"{name}{_SUFFIX}").read_bytes()).decode()


def write(name: str, history: Any) -> None:
    """Write one history without a timestamp or file name, so that equal histories produce equal files."""
    text = json.dumps(history, indent=1, sort_keys=True) + "\n"
    (FOLDER / f"{name}{_SUFFIX}").write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
