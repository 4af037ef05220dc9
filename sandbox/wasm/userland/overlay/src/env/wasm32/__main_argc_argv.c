/* Pulled from the archive when the program's main takes three arguments: only that one keeps the name "main". */
extern char **__environ;
int main_with_environment(int, char **, char **) __asm__("main");

int __main_argc_argv(int argc, char **argv)
{
	return main_with_environment(argc, argv, __environ);
}
