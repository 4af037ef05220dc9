/* The entry point. The kernel calls _start once for a new program and again, while rewinding, on both sides of a fork. */

__attribute__((import_module("linux"), import_name("args")))
long __host_args(void *block);

int __libc_start_main(int (*)(), int, char **, void (*)(), void (*)(), void (*)());
int __main_void(void);
void __wasm_call_ctors(void);

/* argc, argv, environment and auxiliary vector, as Linux lays them out on the first stack. */
long *__wasm_arguments;

/* Where Asyncify saves the frames of a fork. The kernel knows its size. */
__attribute__((aligned(16))) static char asyncify_area[262144];

__attribute__((export_name("__asyncify_area")))
void *__asyncify_area_address(void)
{
	return asyncify_area;
}

/* Compilers name main after its signature; __main_void is the name that always resolves. */
static int run_main(int argc, char **argv, char **environment)
{
	return __main_void();
}

__attribute__((export_name("_start")))
void _start(void)
{
	long size = __host_args(0);
	long *block = __builtin_alloca((size + 15) & -16);
	__host_args(block);
	__wasm_arguments = block;
	__wasm_call_ctors();
	__libc_start_main((int (*)())run_main, block[0], (char **)(block + 1), 0, 0, 0);
}
