/* The import unwinds the whole program by Asyncify, and returns twice: in the parent with the child's pid, in the copy with 0. */
#include <features.h>
#include "syscall.h"

__attribute__((import_module("linux"), import_name("fork")))
long __host_fork(void);

hidden long __wasm_fork(void)
{
	return __host_fork();
}
