#include <errno.h>
#include <signal.h>
#include "syscall.h"
#include "wasm_memory.h"

/* The kernel's answer to a blocking call that a signal interrupted: call again if the handlers allow it. */
#define ERESTARTSYS 512

struct pending {
	long handler, flags, signal, sender;
};

__attribute__((import_module("linux"), import_name("syscall")))
long __host_syscall(long n, long a, long b, long c, long d, long e, long f);

__attribute__((import_module("linux"), import_name("sigpop")))
long __host_sigpop(struct pending *next);

/* The kernel writes 1 here, from another thread, when a signal with a handler waits. Handlers run at the next look at it:
 * after every system call, in malloc and in setjmp, which every turn of a shell's loop passes. */
static volatile int signals_wait;

__attribute__((export_name("__wasm_sigflag")))
volatile int *__wasm_sigflag_address(void)
{
	return &signals_wait;
}

static void call_handler(const struct pending *next)
{
	if (next->flags & SA_SIGINFO) {
		siginfo_t info = { .si_signo = next->signal, .si_pid = next->sender };
		((void (*)(int, siginfo_t *, void *))next->handler)(next->signal, &info, 0);
	} else {
		((void (*)(int))next->handler)(next->signal);
	}
}

/* Whether an interrupted call is to be restarted: every handler that ran asked for it. The kernel blocks what a handler
 * blocks when it hands it out, and unblocks it at sigreturn. */
hidden __attribute__((noinline)) int __wasm_run_signals(void)
{
	struct pending next;
	int restart = 1;
	signals_wait = 0;
	while (__host_sigpop(&next)) {
		call_handler(&next);
		if (!(next.flags & SA_RESTART)) restart = 0;
		__host_syscall(SYS_sigreturn, 0, 0, 0, 0, 0, 0);
	}
	return restart;
}

hidden void __wasm_poll_signals(void)
{
	if (signals_wait) __wasm_run_signals();
}

static long call_kernel(long n, long a, long b, long c, long d, long e, long f)
{
	for (;;) {
		long result = __host_syscall(n, a, b, c, d, e, f);
		int restart = signals_wait ? __wasm_run_signals() : 1;
		if (result != -ERESTARTSYS) return result;
		if (!restart) return -EINTR;
	}
}

hidden long __wasm_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	switch (n) {
	case SYS_mmap2:
		return __wasm_mmap(a, b, c, d, e, f);
	case SYS_munmap:
		return __wasm_munmap(a, b);
	case SYS_mremap:
		return __wasm_mremap(a, b, c, d);
	case SYS_madvise:
		return __wasm_madvise(a, b, c);
	case SYS_mprotect:
		return 0; /* Linear memory has no protection: what would fault goes on. */
	case SYS_brk:
		return 0; /* The break cannot move; malloc then lives on mmap alone. */
	}
	return call_kernel(n, a, b, c, d, e, f);
}
