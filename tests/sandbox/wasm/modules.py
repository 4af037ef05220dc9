"""Small WebAssembly modules of our system call interface, for tests of the engine."""

from __future__ import annotations

import wasmtime

from sandbox.wasm.kernel.numbers import NUMBERS

AREA, FLAG, DATA = 2048, 2040, 4096


def module(body: str, *, data: str = "", local: str = "(local $i i32)", extra: str = "", pages: int = 4) -> bytes:
    """`body` is what _start does; `$s` is the system call import, `data` lies at DATA."""
    return bytes(wasmtime.wat2wasm(text(body, data=data, local=local, extra=extra, pages=pages)))


def text(body: str, *, data: str = "", local: str = "(local $i i32)", extra: str = "", pages: int = 4) -> str:
    """The same as WAT."""
    return f"""(module
  (import "linux" "syscall" (func $s (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "linux" "fork" (func $fork (result i32)))
  (import "linux" "args" (func $args (param i32) (result i32)))
  (import "linux" "sigpop" (func $sigpop (param i32) (result i32)))
  (memory (export "memory") {pages})
  (global $sp (export "__stack_pointer") (mut i32) (i32.const 1024))
  (data (i32.const {DATA}) "{data}")
  (func (export "__asyncify_area") (result i32) (i32.const {AREA}))
  (func (export "__wasm_sigflag") (result i32) (i32.const {FLAG}))
  {extra}
  (func (export "_start") {local} {body}))"""


def call(name: str, *arguments: int | str) -> str:
    """A system call in WAT; strings are WAT expressions, missing arguments are 0."""
    words = [f"(i32.const {each})" if isinstance(each, int) else each for each in (NUMBERS[name], *arguments)]
    words += ["(i32.const 0)"] * (7 - len(words))
    return f"(call $s {' '.join(words)})"


def exit_with(value: str) -> str:
    return f"(drop {call('exit_group', value)})"
