"""The built programs at work in a sandbox: what their own test suites do not reach."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.wasm.net import Stack, Switch
from sandbox.wasm.sandbox import Host, Sandbox
from sandbox.wasm.specs import ProcessSpec, SandboxSpec
from sandbox.wasm.trial import base_tree
from sandbox.wasm.userland.store import build, default_cache

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ENVIRON = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root")
STDOUT = 1
MESSAGE = 1 << 20
Run = Callable[[str], tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a script with ash in a fresh container and gives its exit code and output."""
    cache = default_cache(os.environ)
    userland = build(cache)
    host = Host(cache=cache / "wasm", userland=userland, state=tmp_path)
    spec = SandboxSpec("t", "box", base_tree(userland, tmp_path), tmp_path / "upper", stack=Stack.isolated(Switch()))
    sandbox = Sandbox(host, spec)

    def start(script: str) -> tuple[int, str]:
        process = sandbox.start(ProcessSpec(("sh", "-c", "exec 2>&1\n" + script), ENVIRON))
        assert process.output is not None
        os.set_blocking(process.output, True)
        output = b""
        while message := os.read(process.output, MESSAGE):
            output += message[1:] if message[0] == STDOUT else b""
        return process.wait().code, output.decode()

    yield start
    sandbox.kill_all()
    sandbox.close()


def test_rsync_copies_a_tree(run: Run) -> None:
    script = """
        mkdir -p a/b; echo data > a/b/file; ln -s file a/b/link; chmod 640 a/b/file; mkfifo a/pipe
        rsync -a a/ c/ && cat c/b/link && stat -c %a c/b/file && ls c && readlink c/b/link
    """
    assert run(script) == (0, "data\n640\nb\npipe\nfile\n")


def test_rsync_sends_what_differs_and_deletes(run: Run) -> None:
    script = """
        mkdir a c; seq 1 20000 > a/big; cp a/big c/big; touch c/stale; sed -i s/777/x/ a/big
        rsync -a --delete --no-whole-file --checksum --compress --stats a/ c/ | grep -c 'Matched data: [1-9]'
        cmp a/big c/big && ls c
    """
    assert run(script) == (0, "1\nbig\n")


def test_rsync_serves_as_a_daemon(run: Run) -> None:
    script = """
        mkdir served; seq 1 5000 > served/file
        printf '[m]\\npath=/served\\nuse chroot=no\\nuid=root\\ngid=root\\n' > /etc/rsyncd.conf
        rsync --daemon --no-detach --port 8730 &
        until nc -z 127.0.0.1 8730; do sleep 0.05; done
        rsync -a rsync://127.0.0.1:8730/m/ got/ && cmp served/file got/file && ls got
    """
    assert run(script) == (0, "file\n")


@pytest.mark.parametrize("shell", ["ash", "bash"])
def test_a_trap_runs_in_a_loop_without_system_calls(run: Run, shell: str) -> None:
    script = f"""
        exec {shell} -c 'trap "echo trapped; exit 3" USR1; (sleep 0.1; kill -USR1 $$) & while :; do :; done'
    """
    assert run(script) == (3, "trapped\n")


def test_spawned_and_piped_children(run: Run) -> None:
    """posix_spawn, popen and system of the C library, by way of awk and of bash's substitution of processes."""
    script = """
        awk 'BEGIN { "echo piped" | getline x; print x; system("exit 5"); print "to" | "cat"; close("cat") }'
        bash -c 'cat <(echo substituted); coproc cat; echo there >&${COPROC[1]}; read -r x <&${COPROC[0]}; echo $x'
    """
    assert run(script) == (0, "piped\nto\nsubstituted\nthere\n")


def test_long_doubles_and_wide_numbers(run: Run) -> None:
    script = """
        bash -c 'printf "%.18f %d\\n" 0.1 $((1 << 62))'
        echo '2^100' | bc
        awk 'BEGIN { printf "%.3f\\n", exp(1) }'
    """
    assert run(script) == (0, "0.100000000000000000 4611686018427387904\n1267650600228229401496703205376\n2.718\n")


def test_every_applet_is_one_of_busybox(run: Run) -> None:
    script = "busybox --list-full | sed 's,^,/,' | while read -r path; do [ -e \"$path\" ] || echo missing $path; done"
    assert run(script) == (0, "")
