"""What files run as: scripts, twins of ELF files, refusals, and the words for what is not there."""

from __future__ import annotations

import struct

import pytest
import wasmtime

from sandbox.wasm.sandbox import ExecError, Sandbox
from sandbox.wasm.vfs.node import write_all
from tests.sandbox.wasm.conftest import Containers, spec
from tests.sandbox.wasm.modules import call, module


def put(box: Sandbox, path: str, content: bytes, mode: int = 0o755) -> None:
    box.tree.makedirs(path.rpartition("/")[0] or "/")
    parent, name, _ = box.tree.resolve_parent(path)
    if parent.find(name) is not None:
        parent.unlink(name)
    write_all(parent.create(name, mode, 0, 0), content)


def elf(machine: int = 0x3E) -> bytes:
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 2, machine) + bytes(100)


def test_an_elf_file_runs_as_its_twin(containers: Containers) -> None:
    box = containers.make()
    for path in ("/usr/bin/cat", "/bin/bash", "/usr/bin/env"):
        put(box, path, elf())
    assert containers.run("cat", "/etc/hostname", box=box).stdout == "sockerless\n"
    assert containers.run("/bin/bash", "-c", "echo $0 ${BASH_VERSION%%.*}", box=box).stdout == "/bin/bash 5\n"
    assert containers.run("env", "sh", "-c", "echo through env", box=box).stdout == "through env\n"


def test_a_link_to_another_name_is_what_it_leads_to(containers: Containers) -> None:
    box = containers.make()
    put(box, "/usr/bin/dash", elf())
    box.tree.symlink("dash", "/usr/bin/other-shell")
    assert containers.run("/usr/bin/other-shell", "-c", "echo $((6*7))", box=box).stdout == "42\n"


def test_a_link_of_an_elf_busybox_is_the_applet_of_its_name(containers: Containers) -> None:
    box = containers.make()
    put(box, "/opt/bin/busybox", elf())
    box.tree.symlink("busybox", "/opt/bin/wc")
    assert containers.run("sh", "-c", "echo a b c | /opt/bin/wc -w", box=box).stdout == "3\n"


def test_a_login_shell_keeps_its_dash(containers: Containers) -> None:
    box = containers.make()
    put(box, "/usr/bin/dash", elf())
    ran = containers.run("bash", "-c", "exec -a -dash /usr/bin/dash -c 'echo $0'", box=box)
    assert ran.stdout == "-sh\n"


@pytest.mark.parametrize("number, name", [(0x3E, "x86-64"), (0xB7, "AArch64"), (0x1234, "machine 4660")])
def test_an_elf_file_without_a_twin_is_refused_with_the_backends_that_can(
    containers: Containers, number: int, name: str
) -> None:
    box = containers.make()
    put(box, "/usr/local/bin/node", elf(number))
    reason = f"{name} ELF binary with no WebAssembly twin; backends that can run it: docker, ecs, cloudrun, aca"
    with pytest.raises(ExecError) as caught:
        box.start(spec("node", "--version"))
    assert (caught.value.code, caught.value.message) == (126, f"exec /usr/local/bin/node: {reason}")
    ran = containers.run("sh", "-c", "node; echo $?", box=box)
    assert (ran.stdout, ran.stderr) == ("126\n", f"exec /usr/local/bin/node: {reason}\n")


def test_an_images_own_server_is_not_taken_for_busyboxs(containers: Containers) -> None:
    box = containers.make()
    put(box, "/usr/local/apache2/bin/httpd", elf())
    with pytest.raises(ExecError) as caught:
        box.start(spec("/usr/local/apache2/bin/httpd"))
    assert caught.value.code == 126


def test_scripts_run_their_interpreter(containers: Containers) -> None:
    box = containers.make()
    put(box, "/s1", b'#!/bin/sh -e\necho "$0 $# $2"; false; echo not reached')
    put(box, "/s2", b"#! /usr/bin/env bash\necho ${BASH_VERSION%%.*}")
    put(box, "/s3", b"#!/s1 one arg\n")
    put(box, "/s4", b"#!/nosuch\n")
    put(box, "/s5", b"echo no interpreter")
    assert containers.run("/s1", "a", "b c", box=box).stdout == "/s1 2 b c\n"
    assert containers.run("/s2", box=box).stdout == "5\n"
    assert containers.run("/s3", "x", box=box).stdout == "/s1 3 /s3\n"
    assert containers.run("sh", "-c", "/s5; /s4; echo $?", box=box).stdout == "no interpreter\n127\n"
    for path, code, message in (
        ("/s4", 127, "exec /s4: no such file or directory"),
        ("/s5", 126, "exec /s5: exec format error"),
    ):
        with pytest.raises(ExecError) as caught:
            box.start(spec(path))
        assert (caught.value.code, caught.value.message) == (code, message)


def test_a_script_that_interprets_itself_ends(containers: Containers) -> None:
    box = containers.make()
    put(box, "/loop", b"#!/loop\n")
    with pytest.raises(ExecError) as caught:
        box.start(spec("/loop"))
    assert caught.value.code == 126


def test_modules_of_our_interface_run_and_others_are_refused(containers: Containers) -> None:
    box = containers.make()
    put(box, "/own", module(f"(drop {call('exit_group', 12)})"))
    put(box, "/wasi", bytes(wasmtime.wat2wasm('(module (import "wasi_snapshot_preview1" "fd_write" (func)))')))
    assert containers.run("/own", box=box).status.code == 12
    with pytest.raises(ExecError, match="another system interface: imports wasi_snapshot_preview1"):
        box.start(spec("/wasi"))


def test_a_module_of_any_length_is_not_read_into_the_workers_memory(containers: Containers) -> None:
    box = containers.make()
    ran = containers.run("sh", "-c", r"printf '\0asm' > /m; truncate -s 100G /m; chmod +x /m; /m", box=box)
    assert ran.status.code == 126
    assert ran.stderr == f"exec /m: WebAssembly module of {100 << 30} bytes, more than the {32 << 20} that are run\n"


def test_a_changed_file_is_looked_at_again(containers: Containers) -> None:
    box = containers.make()
    put(box, "/x", b"#!/bin/echo one")
    first = containers.run("/x", box=box).stdout
    put(box, "/x", b"#!/bin/echo two")
    assert (first, containers.run("/x", box=box).stdout) == ("one /x\n", "two /x\n")


@pytest.mark.parametrize(
    "name, code, message",
    [
        ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH'),
        ("", 127, 'exec: "": executable file not found in $PATH'),
        ("/nosuch", 127, 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'),
        ("/", 126, 'exec: "/": is a directory'),
        ("/etc/passwd/x", 126, 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory'),
    ],
)
def test_a_program_that_cannot_be_found_is_told_as_a_runtime_does(
    containers: Containers, name: str, code: int, message: str
) -> None:
    with pytest.raises(ExecError) as caught:
        containers.make().start(spec(name))
    assert (caught.value.code, caught.value.message) == (code, message)


def test_the_path_is_the_containers_and_relative_names_start_at_its_folder(containers: Containers) -> None:
    box = containers.make()
    put(box, "/opt/tool", b"#!/bin/echo tool")
    assert containers.run("tool", box=box, env=("PATH=/nosuch:/opt:/bin",)).stdout == "tool /opt/tool\n"
    assert containers.run("./tool", box=box, cwd="/opt").stdout == "tool ./tool\n"
    with pytest.raises(ExecError):
        box.start(spec("tool", env=()))
