/* One process is one thread of one WebAssembly instance: nothing can run between the load and the store. */

#define a_cas a_cas
static inline int a_cas(volatile int *word, int expected, int value)
{
	int old = *word;
	if (old == expected) *word = value;
	return old;
}

#define a_barrier a_barrier
static inline void a_barrier(void)
{
	__asm__ __volatile__("" ::: "memory");
}

#define a_spin a_barrier

#define a_crash a_crash
static inline void a_crash(void)
{
	__builtin_trap();
}

#define a_ctz_32 a_ctz_32
static inline int a_ctz_32(unsigned bits)
{
	return __builtin_ctz(bits);
}

#define a_clz_32 a_clz_32
static inline int a_clz_32(unsigned bits)
{
	return __builtin_clz(bits);
}
