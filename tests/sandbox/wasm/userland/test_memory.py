"""mmap and its kin of the overlay, compiled alone and driven from here against a model of pages."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from sandbox.wasm.userland.recipes.musl import OVERLAY
from sandbox.wasm.userland.tools import find_tools

PAGE = 4096
ENOMEM, EINVAL, EPERM, ENODEV, EBADF = -12, -22, -1, -19, -9
SHARED, PRIVATE, FIXED, ANONYMOUS = 1, 2, 16, 32
READ, WRITE, MAYMOVE, DONTNEED = 1, 2, 1, 4
HEADERS = {
    "errno.h": "#define ENOMEM 12\n#define EINVAL 22\n#define EPERM 1\n"
    "#define ENODEV 19\n#define ESPIPE 29\n#define EISDIR 21\n",
    "string.h": "void *memset(void *, int, unsigned long), *memcpy(void *, const void *, unsigned long),"
    " *memmove(void *, const void *, unsigned long);\n",
    "sys/mman.h": "#define MAP_TYPE 15\n#define MAP_PRIVATE 2\n#define MAP_FIXED 16\n#define MAP_ANON 32\n"
    "#define PROT_WRITE 2\n#define MREMAP_MAYMOVE 1\n#define MADV_DONTNEED 4\n",
    "syscall.h": '#define hidden __attribute__((visibility("default")))\n#define SYS_pread64 180\n'
    "#define __SYSCALL_LL_O(x) (long)(x)\n"
    '__attribute__((import_module("test"), import_name("pread"))) long test_pread(long, long, long, long);\n'
    "#define __syscall(n, ...) test_pread(__VA_ARGS__)\n",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("memory")
    for name, text in HEADERS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    tools = find_tools(os.environ)
    object_file, module = folder / "memory.o", folder / "memory.wasm"
    source = OVERLAY / "src/mman/wasm32/memory.c"
    flags: list[str | Path] = [
        "--target=wasm32-unknown-unknown",
        "-O2",
        "-mbulk-memory",
        "-nostdinc",
        "-Werror",
        "-Wall",
    ]
    includes: list[str | Path] = [f"-I{folder}", f"-I{OVERLAY / 'arch/wasm32'}"]
    subprocess.run([tools.clang, *flags, *includes, "-c", source, "-o", object_file], check=True)
    exports = [f"--export=__wasm_{name}" for name in ("mmap", "munmap", "mremap", "madvise")]
    command: list[str | Path] = [tools.llvm("wasm-ld"), "--no-entry", "--allow-undefined", *exports]
    subprocess.run([*command, "--export-memory", object_file, "-o", module], check=True)
    return module.read_bytes()


class Machine:
    """One instance. Lengths are in pages, results are addresses or negative errors."""

    def __init__(self, module: bytes, limit: int = 1 << 30) -> None:
        self.store = wasmtime.Store()
        self.store.set_limits(memory_size=limit)
        self.file = b""
        self.read_error = 0
        kind = wasmtime.FuncType([wasmtime.ValType.i32()] * 4, [wasmtime.ValType.i32()])
        pread = wasmtime.Func(self.store, kind, self._pread)
        self.exports = wasmtime.Instance(self.store, wasmtime.Module(self.store.engine, module), [pread]).exports(
            self.store
        )
        self.memory = self.exports["memory"]

    def _pread(self, _fd: int, address: int, length: int, offset: int) -> int:
        part = self.file[offset : offset + min(length, 1000)]
        self.memory.write(self.store, part, address)
        return self.read_error or len(part)

    def call(self, name: str, *arguments: int) -> int:
        signed = (value - (1 << 32) if value >= 1 << 31 else value for value in arguments)
        result = int(self.exports[f"__wasm_{name}"](self.store, *signed))
        return result if -PAGE < result < 0 else result % (1 << 32)

    def map(self, pages: int, at: int = 0, flags: int = PRIVATE | ANONYMOUS) -> int:
        return self.call("mmap", at, pages * PAGE, READ | WRITE, flags, -1 % (1 << 32), 0)

    def unmap(self, address: int, pages: int) -> int:
        return self.call("munmap", address, pages * PAGE)

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.memory.read(self.store, address, address + length))

    def fill(self, address: int, pages: int, value: int) -> None:
        self.memory.write(self.store, bytes([value]) * (pages * PAGE), address)

    def size(self) -> int:
        return int(self.memory.data_len(self.store))


@pytest.fixture
def machine(compiled: bytes) -> Iterator[Machine]:
    yield Machine(compiled)


def test_what_is_given_back_at_the_end_is_handed_out_again_zeroed(machine: Machine) -> None:
    first = machine.map(40)
    size = machine.size()
    machine.fill(first, 40, 7)
    for _ in range(100):
        assert machine.unmap(first, 40) == 0
        assert machine.map(40) == first
    assert machine.read(first, 40 * PAGE) == bytes(40 * PAGE)
    assert machine.size() == size


def test_holes_are_merged(machine: Machine) -> None:
    base = machine.map(5)
    machine.fill(base, 5, 9)
    for hole in (1, 3, 2):
        assert machine.unmap(base + hole * PAGE, 1) == 0
    assert machine.map(3) == base + PAGE
    assert machine.read(base, 5 * PAGE) == b"\x09" * PAGE + bytes(3 * PAGE) + b"\x09" * PAGE


def test_fixed_replaces_and_reaches_beyond_the_end(machine: Machine) -> None:
    base = machine.map(4)
    machine.fill(base, 4, 5)
    assert machine.map(1, base + PAGE, PRIVATE | ANONYMOUS | FIXED) == base + PAGE
    assert machine.read(base, 3 * PAGE) == b"\x05" * PAGE + bytes(PAGE) + b"\x05" * PAGE
    beyond = base + 10 * PAGE
    assert machine.map(2, beyond, PRIVATE | ANONYMOUS | FIXED) == beyond
    assert machine.map(6) == base + 4 * PAGE
    assert machine.map(1) == beyond + 2 * PAGE


def test_refusals(machine: Machine) -> None:
    base = machine.map(1)
    assert machine.map(0) == EINVAL
    assert machine.map(1, base + 1, PRIVATE | ANONYMOUS | FIXED) == EINVAL
    assert machine.map(1, PAGE, PRIVATE | ANONYMOUS | FIXED) == EPERM
    assert machine.map(1, flags=SHARED | ANONYMOUS) == ENODEV
    assert machine.call("mmap", 0, PAGE, READ | WRITE, SHARED, 3, 0) == ENODEV
    assert machine.unmap(base + 1, 1) == EINVAL
    assert machine.unmap(0, 1) == EINVAL
    assert machine.unmap(base, 0) == EINVAL
    assert machine.call("madvise", base, PAGE, DONTNEED) == EINVAL
    assert machine.call("madvise", base, PAGE, 0) == 0


def test_no_memory_left(compiled: bytes) -> None:
    machine = Machine(compiled, limit=1 << 20)
    assert machine.map(1 << 9) == ENOMEM
    assert machine.map(1 << 20 - 1) == ENOMEM
    assert machine.map(64) > 0


def test_a_file_is_read_and_its_last_page_filled_with_zeroes(machine: Machine) -> None:
    machine.file = bytes(range(256)) * 20
    start = machine.call("mmap", 0, 2 * PAGE, READ, SHARED, 3, 0)
    assert machine.read(start, 2 * PAGE) == machine.file.ljust(2 * PAGE, b"\0")
    second = machine.call("mmap", 0, PAGE, READ | WRITE, PRIVATE, 3, 1)
    assert machine.read(second, PAGE) == machine.file[PAGE:].ljust(PAGE, b"\0")


def test_a_file_that_cannot_be_mapped_takes_no_memory(machine: Machine) -> None:
    end = machine.map(1) + PAGE
    for error, answer in ((-29, ENODEV), (-21, ENODEV), (EBADF, EBADF)):
        machine.read_error = error
        assert machine.call("mmap", 0, 8 * PAGE, READ, PRIVATE, 3, 0) == answer
        assert machine.map(1) == end
        assert machine.unmap(end, 1) == 0


def test_growing_in_place_and_by_moving(machine: Machine) -> None:
    base = machine.map(2)
    machine.fill(base, 2, 3)
    assert machine.call("mremap", base, 2 * PAGE, 4 * PAGE, 0) == base
    assert machine.read(base, 4 * PAGE) == b"\x03" * 2 * PAGE + bytes(2 * PAGE)
    wall = machine.map(1)
    assert wall == base + 4 * PAGE
    assert machine.call("mremap", base, 4 * PAGE, 6 * PAGE, 0) == ENOMEM
    moved = machine.call("mremap", base, 4 * PAGE, 6 * PAGE, MAYMOVE)
    assert moved == wall + PAGE
    assert machine.read(moved, 6 * PAGE) == b"\x03" * 2 * PAGE + bytes(4 * PAGE)
    assert machine.map(4) == base


def test_shrinking_frees_the_tail(machine: Machine) -> None:
    base = machine.map(4)
    assert machine.call("mremap", base, 4 * PAGE, PAGE, 0) == base
    assert machine.map(1) == base + PAGE


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_handed_out_twice_or_dirty(compiled: bytes, seed: int) -> None:
    machine = Machine(compiled)
    chance = random.Random(seed)
    owned: dict[int, int] = {}
    for step in range(400):
        if owned and chance.random() < 0.5:
            unmap_some(machine, owned, chance)
            continue
        pages = chance.randint(1, 12)
        start = machine.map(pages)
        fresh = range(start, start + pages * PAGE, PAGE)
        assert not owned.keys() & set(fresh)
        assert machine.read(start, pages * PAGE) == bytes(pages * PAGE)
        value = step % 255 + 1
        machine.fill(start, pages, value)
        owned |= dict.fromkeys(fresh, value)
    for page, value in owned.items():
        assert machine.read(page, PAGE) == bytes([value]) * PAGE


def unmap_some(machine: Machine, owned: dict[int, int], chance: random.Random) -> None:
    start, pages = chance.choice(sorted(owned)), chance.randint(1, 10)
    assert machine.unmap(start, pages) == 0
    for page in range(start, start + pages * PAGE, PAGE):
        owned.pop(page, None)
