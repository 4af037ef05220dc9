/* The child is a full copy, so it needs what a forked child needs: its own thread id. */
#define _GNU_SOURCE
#include <unistd.h>

pid_t _Fork(void);

pid_t vfork(void)
{
	return _Fork();
}
