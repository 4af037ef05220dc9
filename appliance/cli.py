"""``sockerless up|down|status|logs``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance import config as configuration
from appliance.supervision import Appliance, ApplianceError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 1 with a message on stderr otherwise, 2 for a wrong command line."""
    options = _parser().parse_args(arguments)
    try:
        appliance = Appliance(configuration.load(vars(options), os.environ, options.config))
        return {"up": _up, "down": _down, "status": _status, "logs": _logs}[options.command](appliance, options)
    except (configuration.ConfigError, ApplianceError) as error:
        print(f"sockerless: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, help="TOML file with these settings (SOCKERLESS_CONFIG)")
    common.add_argument("--run-dir", help="directory of the sockets (SOCKERLESS_RUN_DIR)")
    common.add_argument("--data-dir", help="directory of images, volumes, containers and logs (SOCKERLESS_DATA_DIR)")
    common.add_argument("--listen", action="append", help="unix:///path or tcp://host:port; may be repeated")
    common.add_argument(
        "--backend",
        action="append",
        help=f"of {', '.join(configuration.BACKENDS)}; may be repeated, the first is default",
    )
    common.add_argument("--docker-engine", help="unix:///path or tcp://host:port that the docker backend drives")
    common.add_argument("--userland", help="directory of the sandbox's programs")
    common.add_argument("--registry-mirror", dest="registry_mirrors", action="append", help="mirror of Docker Hub")
    common.add_argument("--insecure-registry", dest="insecure_registries", action="append", help="host[:port]")
    common.add_argument(
        "--build-add-urls", action="store_const", const=True, help="let ADD in a Dockerfile download from URLs"
    )
    common.add_argument("--start-timeout", help="seconds that `up` waits for an answer")
    parser = argparse.ArgumentParser(prog="sockerless", description="A Docker Engine API in front of many backends.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[common], help="start the appliance and wait until it answers")
    commands.add_parser("down", parents=[common], help="end the appliance")
    commands.add_parser("status", parents=[common], help="show its processes")
    logs = commands.add_parser("logs", parents=[common], help="show what its processes wrote")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as more is written")
    logs.add_argument("-n", "--lines", type=int, default=100, help="how many lines from the end")
    logs.add_argument("process", nargs="*", help="frontend, memory, supervisord; all of them unless named")
    return parser


def _up(appliance: Appliance, _: argparse.Namespace) -> int:
    appliance.start()
    print(f"Ready. Docker clients find it by:\n\n  export DOCKER_HOST={appliance.config.addresses[0]}\n")
    return 0


def _down(appliance: Appliance, _: argparse.Namespace) -> int:
    print("Ended." if appliance.stop() else "No appliance ran.")
    return 0


def _status(appliance: Appliance, _: argparse.Namespace) -> int:
    for process in appliance.processes():
        print(f"{process.name:12} {process.state:9} {process.description}")
    ready = appliance.ready()
    print(f"{'docker API':12} {'READY' if ready else 'NOT READY':9} {' '.join(appliance.config.addresses)}")
    return 0 if ready else 1


def _logs(appliance: Appliance, options: argparse.Namespace) -> int:
    names = options.process or ["frontend", *appliance.config.backend]
    files = [file for file in map(appliance.log_file, names) if file.exists()]
    if not files:
        raise ApplianceError(f"nothing was logged yet in {appliance.config.log_dir}")
    follow = ["-F"] if options.follow else []
    return subprocess.run(["tail", *follow, "-n", str(options.lines), *map(str, files)], check=False).returncode
