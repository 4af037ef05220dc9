"""Every function of wasmtime's internals that the engine uses, once; and the cache of compiled modules."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from sandbox.wasm.engine import Engine, EngineError, WasmMachine
from sandbox.wasm.kernel.lifecycle import STACK_SIZE, stacks_of
from sandbox.wasm.kernel.machine import Leave, Machine, Trap
from sandbox.wasm.kernel.numbers import NUMBERS
from tests.sandbox.wasm.modules import DATA, FLAG, call, exit_with, module, text


class Left(Leave):
    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class Recorder:
    """A supervisor that notes what the program asks."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []
        self.answers: dict[str, int] = {}
        self.machine: Machine | None = None
        self.checked = threading.Event()
        self.leave_at_checkpoint = False

    def syscall(self, number: int, a: int, b: int, c: int, d: int, e: int, f: int, /) -> int:
        if number == NUMBERS["exit_group"]:
            raise Left(a)
        self.calls.append((number, a, b, c, d, e, f))
        return self.answers.get(next(name for name, n in NUMBERS.items() if n == number), 0)

    def fork(self, machine: Machine) -> int:
        return -errno.EAGAIN

    def arguments(self, address: int) -> int:
        if address and self.machine is not None:
            self.machine.memory.write(address, b"args")
        return 4

    def take_signal(self, address: int) -> int:
        return 7

    def checkpoint(self) -> None:
        self.checked.set()
        if self.leave_at_checkpoint:
            raise Left(55)


@pytest.fixture(scope="module")
def wasm(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("cwasm"))


def run(wasm: Engine, body: str, supervisor: Recorder | None = None, **how: object) -> tuple[int, WasmMachine]:
    """(exit code, the machine, to be closed)"""
    supervisor = supervisor or Recorder()
    machine = wasm.program(module(body, **how)).load(0)  # type: ignore[arg-type]
    supervisor.machine = machine
    return on_a_process_thread(lambda: machine.run(supervisor)), machine


def on_a_process_thread(act: Callable[[], int]) -> int:
    """A machine needs the stack that the kernel gives its threads; Left is its answer, others come through."""
    answers: list[int | BaseException] = []

    def main() -> None:
        try:
            answers.append(act())
        except Left as left:
            answers.append(left.code)
        except BaseException as error:
            answers.append(error)

    thread = threading.Thread(target=main)
    with stacks_of(STACK_SIZE):
        thread.start()
    thread.join()
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0]


def test_a_program_that_returns_has_ended_well(wasm: Engine) -> None:
    code, machine = run(wasm, "")
    machine.close()
    assert code == 0


def test_arguments_and_results_cross_with_their_signs(wasm: Engine) -> None:
    recorder = Recorder()
    recorder.answers["getpid"] = -5
    result = call("getpid", 1, -2, 3, -4, 5, -2147483648)
    code, machine = run(wasm, exit_with(result), recorder)
    machine.close()
    assert (code, recorder.calls) == (-5, [(NUMBERS["getpid"], 1, -2, 3, -4, 5, -2147483648)])


def test_memory_is_seen_from_both_sides_and_after_it_grew(wasm: Engine) -> None:
    grow = "(drop (memory.grow (i32.const 3))) (i32.store (i32.const 400000) (i32.const 0x64636261))"
    code, machine = run(wasm, grow, data="hello")
    assert (machine.memory.read(DATA, 5), machine.memory.read(400000, 4)) == (b"hello", b"abcd")
    assert machine.memory_size() == 7 * 65536
    with pytest.raises(OSError) as caught:
        machine.memory.read(7 * 65536 - 1, 2)
    machine.close()
    assert (code, caught.value.errno) == (0, errno.EFAULT)


def test_the_other_imports_reach_the_supervisor(wasm: Engine) -> None:
    both = "(i32.add (call $args (i32.const 8192)) (call $sigpop (i32.const 0)))"
    code, machine = run(wasm, exit_with(both))
    assert (code, machine.memory.read(8192, 4)) == (11, b"args")
    machine.close()


def test_an_exception_of_a_handler_comes_out_of_run(wasm: Engine) -> None:
    class Broken(Recorder):
        def syscall(self, *arguments: int) -> int:
            raise ValueError("out of a handler")

    with pytest.raises(ValueError, match="out of a handler"):
        run(wasm, f"(drop {call('getpid')})", Broken())


@pytest.mark.parametrize(
    "body, signal",
    [
        ("(unreachable)", 6),
        ("(drop (i32.load (i32.const 0x7fff0000)))", 11),
        ("(drop (i32.div_u (i32.const 1) (local.get $i)))", 8),
        ("(call $deep)", 11),
    ],
)
def test_what_a_processor_cannot_do_is_a_signal(wasm: Engine, body: str, signal: int) -> None:
    with pytest.raises(Trap) as caught:
        run(wasm, body, extra="(func $deep (call $deep))")
    assert caught.value.signal == signal


def test_notify_raises_the_flag_in_the_programs_memory(wasm: Engine) -> None:
    machine = wasm.program(module("")).load(0)
    machine.notify()
    assert machine.memory.i32(FLAG) == 1
    machine.close()
    machine.notify()


def test_a_computing_program_comes_to_its_checkpoint_and_can_be_taken_away(wasm: Engine) -> None:
    recorder = Recorder()
    ended: list[int] = []
    machine = wasm.program(module("(loop $l (br $l))")).load(0)

    def main() -> None:
        try:
            machine.run(recorder)
        except Left as left:
            ended.append(left.code)

    thread = threading.Thread(target=main)
    thread.start()
    while not recorder.checked.wait(0.01):
        machine.interrupt()
    recorder.leave_at_checkpoint = True
    while thread.is_alive():
        # One is not enough: a checkpoint that is just passing has not seen it, and the kernel asks again too.
        machine.interrupt()
        thread.join(0.01)
    machine.close()
    assert ended == [55]


def test_a_memory_limit_refuses_to_grow(wasm: Engine) -> None:
    program = wasm.program(module(exit_with("(memory.grow (i32.const 100))")))
    machine = program.load(1 << 20)
    assert on_a_process_thread(lambda: machine.run(Recorder())) == -1
    machine.close()
    with pytest.raises(MemoryError):
        program.load(65536)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("(i32.const 2048))", "(loop $l (br $l)) (i32.const 2048))", "does not load in time"),
        ("(memory ", "(start $l) (func $l (loop $m (br $m))) (memory ", "has a start function"),
    ],
    ids=["place", "start"],
)
def test_a_program_that_does_not_load_is_refused(wasm: Engine, old: str, new: str, reason: str) -> None:
    changed = wasmtime.wat2wasm(text("").replace(old, new))
    with pytest.raises(EngineError, match=reason):
        wasm.program(bytes(changed)).load(0)


@pytest.mark.parametrize(("entries", "answer"), [(1000, 1), (10_000_000, -1)])
def test_a_table_does_not_grow_without_end(wasm: Engine, entries: int, answer: int) -> None:
    grow = f"(table.grow $t (ref.null func) (i32.const {entries}))"
    machine = wasm.program(module(exit_with(grow), extra="(table $t 1 funcref)")).load(0)
    assert on_a_process_thread(lambda: machine.run(Recorder())) == answer
    machine.close()


def test_a_module_of_another_interface_is_told_apart(wasm: Engine) -> None:
    wasi = wasmtime.wat2wasm('(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))))')
    with pytest.raises(EngineError, match="imports wasi_snapshot_preview1"):
        wasm.program(bytes(wasi))
    with pytest.raises(EngineError, match="exports no _start"):
        wasm.program(bytes(wasmtime.wat2wasm("(module)")))
    with pytest.raises(EngineError):
        wasm.program(b"\0asm and nothing else")


def test_compiled_modules_are_kept_for_the_next_engine(tmp_path: Path) -> None:
    source = module(exit_with("(i32.const 3)"))
    Engine(tmp_path).program(source)
    [kept] = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    code, machine = run(Engine(tmp_path), exit_with("(i32.const 3)"))
    machine.close()
    assert (code, [kept], kept.stat().st_mtime_ns) == (3, list(tmp_path.iterdir()), before)


def test_a_damaged_compiled_module_is_made_again(tmp_path: Path) -> None:
    source = module(exit_with("(i32.const 4)"))
    Engine(tmp_path).program(source)
    [kept] = tmp_path.iterdir()
    kept.write_bytes(b"no code at all")
    code, machine = run(Engine(tmp_path), exit_with("(i32.const 4)"))
    machine.close()
    assert (code, kept.stat().st_size > 1000) == (4, True)


def test_native_code_is_kept_in_a_private_folder_only(tmp_path: Path) -> None:
    Engine(tmp_path / "new")
    assert os.stat(tmp_path / "new").st_mode & 0o777 == 0o700
    os.chmod(tmp_path, 0o777)
    with pytest.raises(EngineError, match="writable by nobody else"):
        Engine(tmp_path)


def test_machines_do_not_share_memory(wasm: Engine) -> None:
    program = wasm.program(module("", data="same"))
    one, two = program.load(0), program.load(0)
    one.memory.write(DATA, struct.pack("<I", 1))
    assert two.memory.read(DATA, 4) == b"same"
    one.close()
    two.close()
