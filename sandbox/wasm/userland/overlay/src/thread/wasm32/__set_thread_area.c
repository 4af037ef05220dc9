#include "pthread_impl.h"

hidden unsigned long __wasm_thread_pointer;

int __set_thread_area(void *thread)
{
	__wasm_thread_pointer = (unsigned long)thread;
	return 0;
}
