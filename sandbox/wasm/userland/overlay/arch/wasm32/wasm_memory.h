/* Calls that the program answers for itself because its linear memory is its own: see src/mman/wasm32/memory.c. */
hidden long __wasm_mmap(unsigned long address, unsigned long length, long protection, long flags, long fd,
	unsigned long page);
hidden long __wasm_munmap(unsigned long address, unsigned long length);
hidden long __wasm_mremap(unsigned long address, unsigned long length, unsigned long wanted, long flags);
hidden long __wasm_madvise(unsigned long address, unsigned long length, long advice);
