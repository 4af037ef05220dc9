/* What src/setjmp/wasm32/setjmp.c keeps: an invocation's id, a label, and the pair that a longjmp throws. */
typedef unsigned long long __jmp_buf[8];
