/* The thread pointer is a plain variable, set once: there is one thread. */
extern hidden unsigned long __wasm_thread_pointer;

static inline unsigned long __get_tp(void)
{
	return __wasm_thread_pointer;
}

#define MC_PC arm_pc
