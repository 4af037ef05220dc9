/* sigsetjmp is a macro over setjmp (see edits of include/setjmp.h), so the mask is saved before and restored by the jump. */
#include <setjmp.h>
#include <signal.h>
#include "syscall.h"

int __wasm_sigsave(sigjmp_buf buffer, int save)
{
	buffer->__fl = save;
	if (save) __syscall(SYS_rt_sigprocmask, SIG_SETMASK, 0, buffer->__ss, _NSIG / 8);
	return 0;
}

_Noreturn void siglongjmp(sigjmp_buf buffer, int value)
{
	if (buffer->__fl) __syscall(SYS_rt_sigprocmask, SIG_SETMASK, buffer->__ss, 0, _NSIG / 8);
	longjmp(buffer, value);
}
