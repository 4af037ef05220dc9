"""Records the newest engine that Debian has: `python -m tests.parity.record [PROGRAMS]`.

Plays the request table and the table of shapes on it and writes its answers, normalised, to golden/<version>/.
PROGRAMS is a folder with its dockerd and containerd; without it they are downloaded (tests/oracle/sid.py).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.oracle import daemon, sid
from tests.parity import replay, shapes

GOLDEN = Path(__file__).with_name("golden")
SHAPES = Path(__file__).with_name("shapes.toml")
TABLES = {"requests": replay.TABLE, "shapes": SHAPES}


def recording(version: str, name: str) -> dict[str, dict[str, str]]:
    """What the engine of that version answered to the table `name` (`requests`, `shapes`), by label."""
    found: dict[str, dict[str, str]] = json.loads((GOLDEN / version / f"{name}.json").read_text())
    return found


def record(programs: Path) -> list[Path]:
    """Plays each table on an engine of its own and writes the files. Returns their paths."""
    return [_record_one(programs, name) for name in TABLES]


def _record_one(programs: Path, name: str) -> Path:
    with daemon.running(programs=programs) as engine:
        _, _, body = replay.send(str(engine.socket), "GET", "/version")
        version = json.loads(body)
        answers = replay.play(str(engine.socket), f"v{version['ApiVersion']}", TABLES[name])
    if name == "shapes":
        answers = {label: {**parts, "body": shapes.stable_text(parts["body"])} for label, parts in answers.items()}
    folder = GOLDEN / ".".join(version["Version"].split(".")[:2])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(answers, indent=1) + "\n")
    return path


def main(arguments: list[str]) -> None:
    if arguments:
        written = record(Path(arguments[0]))
    else:
        with tempfile.TemporaryDirectory(prefix="sockerless-sid-") as folder:
            written = record(sid.fetch(Path(folder)))
    print(*written, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
