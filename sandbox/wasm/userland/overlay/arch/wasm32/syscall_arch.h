/* System calls by the numbers of the ARM EABI, whose 64-bit arguments sit in pairs that start at an even position. */
#define __SYSCALL_LL_E(x) (long)(x), (long)((unsigned long long)(x) >> 32)
#define __SYSCALL_LL_O(x) 0, __SYSCALL_LL_E((x))

hidden long __wasm_syscall(long, long, long, long, long, long, long);
hidden long __wasm_fork(void);

static inline long __syscall0(long n)
{
	/* Fork has an import of its own: everything that can reach it is compiled to be unwound and rewound, and that must
	 * not be every caller of every system call. The number is always a constant here, so this folds. */
	return n == __NR_fork ? __wasm_fork() : __wasm_syscall(n, 0, 0, 0, 0, 0, 0);
}

static inline long __syscall1(long n, long a)
{
	return __wasm_syscall(n, a, 0, 0, 0, 0, 0);
}

static inline long __syscall2(long n, long a, long b)
{
	return __wasm_syscall(n, a, b, 0, 0, 0, 0);
}

static inline long __syscall3(long n, long a, long b, long c)
{
	return __wasm_syscall(n, a, b, c, 0, 0, 0);
}

static inline long __syscall4(long n, long a, long b, long c, long d)
{
	return __wasm_syscall(n, a, b, c, d, 0, 0);
}

static inline long __syscall5(long n, long a, long b, long c, long d, long e)
{
	return __wasm_syscall(n, a, b, c, d, e, 0);
}

static inline long __syscall6(long n, long a, long b, long c, long d, long e, long f)
{
	return __wasm_syscall(n, a, b, c, d, e, f);
}

#define SYSCALL_FADVISE_6_ARG
#define SYSCALL_IPC_BROKEN_MODE
