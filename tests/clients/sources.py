"""Source distributions of client libraries, whose own tests their wheels have not: fetched once into the virtual
environment, at the version and with the hash that a requirements file of one line names.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(sys.prefix) / "share"


def fetch(requirements: Path, part: str = "") -> Path:
    """Returns the unpacked distribution, or a folder with one `part` of it alone; pip has checked the hash."""
    name = requirements.read_text().split()[0].replace("==", "-")
    found = FOLDER / (f"{name}-{part}" if part else name)
    if found.exists():
        return found
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes",
            "--requirement", str(requirements), "--dest", scratch,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        with tarfile.open(Path(scratch, f"{name}.tar.gz")) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12 has Python 3.11.2
            archive.extractall(scratch)
        unpacked = Path(scratch, name)
        if part:
            kept = Path(scratch, "kept")
            kept.mkdir()
            (unpacked / part).rename(kept / part)
            unpacked = kept
        FOLDER.mkdir(exist_ok=True)
        unpacked.rename(found)
    return found
