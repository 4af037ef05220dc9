"""aiodocker's source distribution, whose tests its wheel has not: fetched once into the virtual environment.

`python -m tests.clients.aiodocker.source` fetches it; the tests that need it do, too.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REQUIREMENT = Path(__file__).with_name("requirements.txt")
VERSION = "0.27.0"
FOLDER = Path(sys.prefix) / "share" / f"aiodocker-{VERSION}"


def fetch() -> Path:
    """Returns the unpacked distribution, which pip has checked against the hash in requirements.txt."""
    if FOLDER.exists():
        return FOLDER
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes",
            "--requirement", str(REQUIREMENT), "--dest", scratch,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        with tarfile.open(Path(scratch, f"aiodocker-{VERSION}.tar.gz")) as archive:
            archive.extractall(scratch, filter="data")
        FOLDER.parent.mkdir(exist_ok=True)
        Path(scratch, f"aiodocker-{VERSION}").rename(FOLDER)
    return FOLDER


if __name__ == "__main__":
    print(fetch())
