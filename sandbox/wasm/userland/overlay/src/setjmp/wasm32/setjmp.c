/* The run-time half of clang's setjmp lowering (-wasm-enable-sjlj). A function that calls setjmp gets a dispatch loop and an
 * id for each of its invocations; longjmp throws the buffer's address and value, and the loop that owns the id catches it. */
#include <features.h>
#include <stdint.h>

hidden void __wasm_poll_signals(void);

struct buffer {
	void *invocation;
	uint32_t label;
	struct {
		void *buffer;
		int value;
	} thrown;
};

#define C_LONGJMP_TAG 1

void __wasm_setjmp(void *env, uint32_t label, void *invocation)
{
	struct buffer *buffer = env;
	buffer->invocation = invocation;
	buffer->label = label;
	__wasm_poll_signals();
}

uint32_t __wasm_setjmp_test(void *env, void *invocation)
{
	struct buffer *buffer = env;
	return buffer->invocation == invocation ? buffer->label : 0;
}

void __wasm_longjmp(void *env, int value)
{
	struct buffer *buffer = env;
	buffer->thrown.buffer = env;
	buffer->thrown.value = value ? value : 1;
	__builtin_wasm_throw(C_LONGJMP_TAG, &buffer->thrown);
}
