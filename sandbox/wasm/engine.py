"""The one place that touches wasmtime: compiled modules, machines, fork by Asyncify.

The public binding costs 18 µs for a host call; the raw functions of `wasmtime._bindings` (ctypes) cost 1 µs. They are
private and may change: they are used here only, and `tests/sandbox/wasm/test_engine.py` smoke-tests every one of them.

A program imports four functions of module "linux": syscall(n, a..f), fork(), args(buffer), sigpop(buffer); it exports
memory, _start, asyncify_*, __asyncify_area, __wasm_sigflag and __stack_pointer. Fork: the import starts an Asyncify
unwind, _start returns, the memory is copied into a second machine, and both rewind into the import, which then returns
the pid and 0.
"""

from __future__ import annotations

import ctypes as C
import hashlib
import logging
import os
import platform
import struct
import sys
import threading
import time
from _thread import get_ident
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import _bindings as B
from wasmtime import _ffi as ffi

from sandbox.wasm.kernel.machine import Leave, Supervisor, Trap
from sandbox.wasm.kernel.memory import Memory

MODULE = "linux"
WASM_STACK = 8 << 20
ASYNCIFY_AREA = 262144
PAGE = 65536

_log = logging.getLogger(__name__)
_ARGUMENTS = struct.Struct("<" + "i12x" * 7)
_SYSCALL_SLOTS = _ARGUMENTS.size
_CALLBACK = C.CFUNCTYPE(C.c_void_p, C.c_void_p, C.c_void_p, C.c_void_p, C.c_size_t)
_NO_FINALIZER = C.cast(C.c_void_p(), B._wasmtime_store_new.argtypes[2])
_NO_LINK_FINALIZER = C.cast(C.c_void_p(), B._wasmtime_linker_define_func_unchecked.argtypes[8])
_EPOCH_CALLBACK = B._wasmtime_store_epoch_deadline_callback.argtypes[1]
_TRAP_TEXT = C.create_string_buffer(b"leave")
_SIGSEGV, _SIGILL, _SIGFPE, _SIGABRT, _SIGKILL = 11, 4, 8, 6, 9
_TRAP_SIGNALS = {4: _SIGILL, 5: _SIGILL, 6: _SIGFPE, 7: _SIGFPE, 8: _SIGFPE, 9: _SIGABRT}
_string_at = C._string_at  # type: ignore[attr-defined]  # PERF: ctypes.string_at without its Python wrapper
_int64_at = C.c_int64.from_address

_running: dict[int, WasmMachine] = {}
"""The machine that runs on a thread. Callbacks have no other way to tell."""
_questioned: dict[int, float] = {}
"""When the new program that a thread loads must have answered."""


_PATIENCE = 1.0
"""Seconds that a new program has to tell its places, which takes microseconds."""
_START_SECTION = 8
_TABLE_MAX = 1 << 17
"""Entries of a table of functions, which is in the worker's memory but not in the program's; busybox has 682."""


class Room:
    """How many machines there may be at once, in all containers.

    Each takes about nine memory mappings with its thread, and wasmtime ends the whole process when the host's kernel
    refuses one; a quarter of what the kernel allows is left to everything else.
    """

    def __init__(self, mappings: int) -> None:
        self._free = mappings * 3 // 4 // 9
        self._lock = threading.Lock()

    def take(self) -> None:
        """MemoryError when there is none."""
        with self._lock:
            if self._free <= 0:
                raise MemoryError("no room for another process")
            self._free -= 1

    def give(self) -> None:
        with self._lock:
            self._free += 1


def _mappings_allowed() -> int:
    try:
        return int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        return 65530  # Linux's default


_room = Room(_mappings_allowed())


class EngineError(RuntimeError):
    """A module cannot be compiled or does not speak our system call interface."""


def _raise(error: Any) -> None:
    raise EngineError(str(wasmtime.WasmtimeError._from_ptr(error)))


def _new_trap() -> int:
    trap = ffi.wasmtime_trap_new(C.cast(_TRAP_TEXT, C.POINTER(C.c_char)), 5)
    return C.cast(trap, C.c_void_p).value or 0


def _on_syscall(_environment: int, _caller: int, slots: int, _count: int) -> int | None:
    machine = _running[get_ident()]
    try:
        result = machine.syscall(*_ARGUMENTS.unpack(_string_at(slots, _SYSCALL_SLOTS)))
    except BaseException as error:  # nothing may leave a callback: it is raised again by WasmMachine.run
        machine.leaving = error
        return _new_trap()
    _int64_at(slots).value = result & 0xFFFFFFFF
    return None


def _on_fork(_environment: int, _caller: int, slots: int, _count: int) -> int | None:
    machine = _running[get_ident()]
    try:
        result = machine.fork_call()
    except BaseException as error:
        machine.leaving = error
        return _new_trap()
    _int64_at(slots).value = result & 0xFFFFFFFF
    return None


def _on_arguments(_environment: int, _caller: int, slots: int, _count: int) -> int | None:
    return _ask(slots, lambda supervisor, address: supervisor.arguments(address))


def _on_sigpop(_environment: int, _caller: int, slots: int, _count: int) -> int | None:
    return _ask(slots, lambda supervisor, address: supervisor.take_signal(address))


def _ask(slots: int, question: Callable[[Supervisor, int], int]) -> int | None:
    machine = _running[get_ident()]
    place = _int64_at(slots)
    try:
        assert machine.supervisor is not None
        result = question(machine.supervisor, place.value & 0xFFFFFFFF)
    except BaseException as error:
        machine.leaving = error
        return _new_trap()
    place.value = result & 0xFFFFFFFF
    return None


def _on_epoch(_context: Any, _data: Any, delta: Any, kind: Any) -> int:
    delta[0] = 1
    kind[0] = 0
    machine = _running.get(get_ident())
    if machine is None or machine.supervisor is None:
        due = _questioned.get(get_ident())
        return 0 if due is None or time.monotonic() < due else _new_error(b"does not load in time")
    try:
        machine.supervisor.checkpoint()
    except BaseException as error:
        machine.leaving = error
        return _new_error(b"leave")
    return 0


def _new_error(text: bytes) -> int:
    return C.cast(ffi.wasmtime_error_new(C.create_string_buffer(text)), C.c_void_p).value or 0


_EPOCH = _EPOCH_CALLBACK(_on_epoch)
_IMPORTS = [
    (name, parameters, _CALLBACK(function))
    for name, parameters, function in (
        ("syscall", 7, _on_syscall),
        ("fork", 0, _on_fork),
        ("args", 1, _on_arguments),
        ("sigpop", 1, _on_sigpop),
    )
]


def _config() -> Any:
    config = wasmtime.Config()
    # A wasm stack above the async stack size is a Rust panic that ends the process: raise both, this one first.
    B._wasmtime_config_async_stack_size_set(config.ptr(), 2 * WASM_STACK)
    config.max_wasm_stack = WASM_STACK
    config.wasm_exceptions = True
    config.epoch_interruption = True
    return config


def _fingerprint() -> str:
    """What a compiled module depends on besides its source: compiler, settings of `_config`, processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = ""
    text = f"1 {version('wasmtime')} {WASM_STACK} exceptions epochs {platform.machine()} {flags}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sections(module: bytes) -> list[int]:
    """The numbers of a valid module's sections."""
    found, at = [], 8
    while at < len(module):
        found.append(module[at])
        at, size, shift = at + 1, 0, 0
        while True:
            byte = module[at]
            at, size, shift = at + 1, size | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        at += size
    return found


class Engine:
    """Compiled modules of one worker. `cache` is a directory of native code of ours: private (0700), never shared."""

    def __init__(self, cache: Path) -> None:
        # PERF: with the default of 5 ms a thread that waits for the interpreter lock waits too long.
        sys.setswitchinterval(0.0005)
        self._cache = cache
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = cache.stat()
        if info.st_uid != os.geteuid() or info.st_mode & 0o022:
            raise EngineError(f"{cache} holds native code: it must belong to this user and be writable by nobody else")
        self._fingerprint = _fingerprint()
        self._engine = wasmtime.Engine(_config())
        self._linker = wasmtime.Linker(self._engine)
        self._keep: list[Any] = []
        self._lock = threading.Lock()
        self._modules: dict[str, WasmProgram] = {}
        for name, parameters, callback in _IMPORTS:
            self._define(name, parameters, callback)

    def _define(self, name: str, parameters: int, callback: Any) -> None:
        i32 = wasmtime.ValType.i32
        signature = wasmtime.FuncType([i32() for _ in range(parameters)], [i32()])
        function = C.cast(callback, B.wasmtime_func_unchecked_callback_t)
        self._keep.append((signature, function))
        error = ffi.wasmtime_linker_define_func_unchecked(
            self._linker.ptr(), MODULE.encode(), len(MODULE), name.encode(), len(name),
            signature.ptr(), function, None, _NO_LINK_FINALIZER,
        )  # fmt: skip
        if error:
            _raise(error)

    def program(self, source: bytes) -> WasmProgram:
        """The compiled module of a wasm file's content; compiles at most once (2 s a megabyte, then 4 ms a load)."""
        key = hashlib.sha256(source).hexdigest()
        with self._lock:
            found = self._modules.get(key)
            if found is None:
                module = self._module(key, source)
                if _START_SECTION in _sections(source):
                    raise EngineError("has a start function, which would run before it is a process")
                found = self._modules[key] = WasmProgram(self, module, key)
            return found

    def _module(self, key: str, source: bytes) -> Any:
        path = self._cache / f"{key[:40]}-{self._fingerprint}.cwasm"
        try:
            if path.exists():
                return wasmtime.Module.deserialize_file(self._engine, str(path))
        except wasmtime.WasmtimeError as error:
            _log.warning("compiled module %s is unusable and is compiled again: %s", path.name, error)
        try:
            module = wasmtime.Module(self._engine, source)
        except wasmtime.WasmtimeError as error:
            raise EngineError(str(error).splitlines()[0]) from error
        part = path.with_suffix(f".{os.getpid()}.{get_ident()}.part")
        part.write_bytes(module.serialize())
        part.rename(path)
        return module

    def tick(self) -> None:
        """Bring every machine that computes to its checkpoint, once."""
        self._engine.increment_epoch()


class WasmProgram:
    """A module ready to be instantiated; see `machine.Program`."""

    def __init__(self, engine: Engine, module: Any, key: str) -> None:
        self.engine = engine
        self.key = key
        self._module = module
        self.flag: int | None = None
        self.area: int | None = None
        self._check_imports(module)
        pre = C.POINTER(ffi.wasmtime_instance_pre_t)()
        error = ffi.wasmtime_linker_instantiate_pre(engine._linker.ptr(), module.ptr(), C.byref(pre))
        if error:
            _raise(error)
        self.pre = pre

    @staticmethod
    def _check_imports(module: Any) -> None:
        foreign = sorted({item.module for item in module.imports} - {MODULE})
        if foreign:
            raise EngineError(f"imports {', '.join(foreign)}")
        if "_start" not in {item.name for item in module.exports}:
            raise EngineError("exports no _start")

    def load(self, memory_limit: int) -> WasmMachine:
        return WasmMachine(self, memory_limit)


class WasmMachine:
    """One store and instance; see `machine.Machine`."""

    __slots__ = (
        "_area",
        "_base",
        "_context",
        "_exports",
        "_forking",
        "_instance",
        "_limit",
        "_memory",
        "_result",
        "_rewinding",
        "_size",
        "_slot",
        "_store",
        "leaving",
        "memory",
        "program",
        "supervisor",
        "syscall",
    )  # fmt: skip

    def __init__(self, program: WasmProgram, memory_limit: int) -> None:
        self.program = program
        self._limit = memory_limit
        self.supervisor: Supervisor | None = None
        self.syscall: Callable[..., int]
        self.leaving: BaseException | None = None
        self._forking = self._rewinding = False
        self._result = 0
        self._exports: dict[str, Any] = {}
        self._slot = (B.wasmtime_val_raw_t * 1)()
        _room.take()
        self._store = ffi.wasmtime_store_new(program.engine._engine.ptr(), None, _NO_FINALIZER)
        self._context = ffi.wasmtime_store_context(self._store)
        B._wasmtime_store_epoch_deadline_callback(self._store, _EPOCH, C.c_void_p(0), _NO_FINALIZER)
        B._wasmtime_context_set_epoch_deadline(self._context, 1)
        B._wasmtime_store_limiter(self._store, memory_limit or -1, _TABLE_MAX, -1, -1, -1)
        self._instantiate()

    def _instantiate(self) -> None:
        self._instance = ffi.wasmtime_instance_t()
        trap = C.POINTER(ffi.wasm_trap_t)()
        error = B._wasmtime_instance_pre_instantiate(
            self.program.pre, self._context, C.byref(self._instance), C.byref(trap)
        )
        if error or trap:
            text = str(wasmtime.WasmtimeError._from_ptr(error) if error else wasmtime.Trap._from_ptr(trap))
            self.close()
            if "memory" in text:
                raise MemoryError(text)
            raise EngineError(text)
        self._memory = ffi.wasmtime_memory_t.from_buffer_copy(self._export("memory").of.memory)
        self._base = self._size = 0
        self.memory = Memory(self._window(), self._window)
        if self.program.flag is None:
            try:
                self._question()
            except BaseException:
                self.close()
                raise
        self._area = self.program.area or 0

    def _question(self) -> None:
        """Ask a program that was never loaded before for its places; EngineError when it does not answer in time.

        It is not a process yet, which a signal could end.
        """
        ident = get_ident()
        _questioned[ident] = time.monotonic() + _PATIENCE
        reminder = threading.Timer(_PATIENCE, self.interrupt)
        reminder.start()
        try:
            area = self._call("__asyncify_area") & 0xFFFFFFFF
            self.program.flag = self._call("__wasm_sigflag") & 0xFFFFFFFF
            self.program.area = area
        finally:
            reminder.cancel()
            del _questioned[ident]

    def _window(self) -> memoryview:
        memory = C.byref(self._memory)
        self._base = C.cast(B._wasmtime_memory_data(self._context, memory), C.c_void_p).value or 0
        self._size = B._wasmtime_memory_data_size(self._context, memory)
        return memoryview((C.c_ubyte * self._size).from_address(self._base)).cast("B")

    def _export(self, name: str) -> Any:
        item = ffi.wasmtime_extern_t()
        encoded = name.encode()
        if not B._wasmtime_instance_export_get(
            self._context, C.byref(self._instance), encoded, len(encoded), C.byref(item)
        ):
            raise EngineError(f"the program exports no {name}")
        return item

    def _call(self, name: str, argument: int | None = None) -> int:
        function = self._exports.get(name)
        if function is None:
            function = self._exports[name] = ffi.wasmtime_func_t.from_buffer_copy(self._export(name).of.func)
        slot = self._slot
        if argument is not None:
            slot[0].i32 = argument
        trap = C.POINTER(ffi.wasm_trap_t)()
        error = B._wasmtime_func_call_unchecked(self._context, C.byref(function), slot, 1, C.byref(trap))
        if error or trap:
            self._fail(error, trap)
        result: int = slot[0].i32
        return result

    def _fail(self, error: Any, trap: Any) -> None:
        leaving, self.leaving = self.leaving, None
        if leaving is not None:
            (ffi.wasmtime_error_delete if error else ffi.wasm_trap_delete)(error or trap)
            raise leaving
        if error:
            _raise(error)
        code = C.c_uint8(255)
        B._wasmtime_trap_code(trap, C.byref(code))
        text = str(wasmtime.Trap._from_ptr(trap))
        raise Trap(_TRAP_SIGNALS.get(code.value, _SIGSEGV), text)

    def run(self, supervisor: Supervisor) -> int:
        ident = get_ident()
        self.supervisor = supervisor
        self.syscall = supervisor.syscall
        _running[ident] = self
        try:
            while True:
                if self._rewinding:
                    self._call("asyncify_start_rewind", self._area)
                self._call("_start")
                if not self._forking:
                    return 0
                self._call("asyncify_stop_unwind")
                self._forking = False
                self._result = self._fork(supervisor)
                self._rewinding = True
        finally:
            del _running[ident]
            self.supervisor = None
            del self.syscall

    def fork_call(self) -> int:
        """The program called fork, or came back into that call by rewinding."""
        if self._rewinding:
            self._call("asyncify_stop_rewind")
            self._rewinding = False
            return self._result
        place = self._base + self._area
        C.c_int32.from_address(place).value = self._area + 16
        C.c_int32.from_address(place + 4).value = self._area + ASYNCIFY_AREA
        self._call("asyncify_start_unwind", self._area)
        self._forking = True
        return 0

    def _fork(self, supervisor: Supervisor) -> int:
        try:
            child = self._copy()
        except (MemoryError, EngineError):
            return -12  # ENOMEM
        return supervisor.fork(child)

    def _copy(self) -> WasmMachine:
        child = WasmMachine(self.program, self._limit)
        self._window()
        if child._size < self._size and not child._grow(self._size - child._size):
            child.close()
            raise MemoryError
        pointer = self._stack_pointer()
        child._set_stack_pointer(pointer)
        used = C.c_int32.from_address(self._base + self._area).value
        end = self._area + ASYNCIFY_AREA
        # Below the stack pointer and in the unused part of the unwind area is nothing worth copying.
        C.memmove(child._base + pointer, self._base + pointer, used - pointer)
        C.memmove(child._base + end, self._base + end, self._size - end)
        child._rewinding = True
        return child

    def _grow(self, size: int) -> bool:
        previous = C.c_uint64()
        error = B._wasmtime_memory_grow(self._context, C.byref(self._memory), size // PAGE, C.byref(previous))
        if error:
            ffi.wasmtime_error_delete(error)
            return False
        self.memory.size()
        return True

    def _stack_pointer(self) -> int:
        value = ffi.wasmtime_val_t()
        item = self._export("__stack_pointer").of.global_
        B._wasmtime_global_get(self._context, C.byref(item), C.byref(value))
        pointer: int = value.of.i32
        return pointer & 0xFFFFFFFF

    def _set_stack_pointer(self, pointer: int) -> None:
        value = ffi.wasmtime_val_t()
        value.kind = 0
        value.of.i32 = pointer
        item = self._export("__stack_pointer").of.global_
        B._wasmtime_global_set(self._context, C.byref(item), C.byref(value))

    def notify(self) -> None:
        if self.program.flag is not None and self._store is not None:
            C.c_int32.from_address(self._base + self.program.flag).value = 1

    def interrupt(self) -> None:
        self.program.engine.tick()

    def memory_size(self) -> int:
        size: int = B._wasmtime_memory_data_size(self._context, C.byref(self._memory)) if self._store else 0
        return size

    def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            ffi.wasmtime_store_delete(store)
            _room.give()


__all__ = ["Engine", "EngineError", "Leave", "Trap", "WasmMachine", "WasmProgram"]
