/* Pulled from the archive when the program's main takes arguments: main(void) defines this name itself. */
extern long *__wasm_arguments;
int __main_argc_argv(int, char **);

int __main_void(void)
{
	return __main_argc_argv(__wasm_arguments[0], (char **)(__wasm_arguments + 1));
}
