"""A Linux-like kernel in pure Python: system calls, processes, signals, descriptors, terminals. Knows nothing of wasm.

Layers, lowest first:
- `abi` (constants), `numbers` (of system calls), `memory` (a program's), `machine` (what executes a program).
- `files` (open file descriptions and the descriptor table), `pipes`, `tty`, `devices`, `regular`, `proc*`.
- `signals`, `task` (one process), `kernel` (one container), `lifecycle` (exec, fork, exit).
- `syscalls` (the table) and `sys_*` (the handlers).

Threads: each process runs in a thread of its own. `Kernel.lock` guards the process table, signals and job control;
it is never held while waiting. Everything else belongs to one process or has a lock of its own.
"""
