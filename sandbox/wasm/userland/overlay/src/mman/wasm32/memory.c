/* mmap and its kin over linear memory, which only grows and has neither holes nor protection.
 *
 * Everything from the end of the program's data to `top` is either in use or in the sorted table of free spans, which never
 * touch each other nor `top`. What is given back is handed out again before memory grows, because a fork copies all of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "syscall.h"
#include "wasm_memory.h"

#define PAGE 4096ul
#define WASM_PAGE 65536ul
#define LAST_ADDRESS 0xffff0000ul
#define SPANS 1024

struct span {
	unsigned long start, end;
};

static struct span spans[SPANS];
static int count;
static unsigned long bottom, top;
static unsigned long dirty; /* Nothing at or above this was ever handed out: it is still zero. */

extern unsigned char __heap_base;

static unsigned long round_up(unsigned long bytes)
{
	return (bytes + PAGE - 1) & -PAGE;
}

static void begin(void)
{
	if (!bottom) bottom = top = dirty = round_up((unsigned long)&__heap_base);
}

static int grow(unsigned long end)
{
	unsigned long have = __builtin_wasm_memory_size(0), want = (end - 1) / WASM_PAGE + 1;
	return want <= have || __builtin_wasm_memory_grow(0, want - have) != -1ul;
}

/* Replace spans[first, last) by n new ones. */
static int splice(int first, int last, const struct span *by, int n)
{
	if (count - (last - first) + n > SPANS) return -ENOMEM;
	memmove(spans + first + n, spans + last, (count - last) * sizeof *spans);
	memcpy(spans + first, by, n * sizeof *spans);
	count += n - (last - first);
	return 0;
}

/* Make [start, end) free, whatever of it was free before. */
static int release(unsigned long start, unsigned long end)
{
	struct span whole = { start, end };
	int first = 0, last;
	if (whole.end > top) whole.end = top;
	if (whole.start >= whole.end) return 0;
	while (first < count && spans[first].end < whole.start) first++;
	for (last = first; last < count && spans[last].start <= whole.end; last++) {
		if (spans[last].start < whole.start) whole.start = spans[last].start;
		if (spans[last].end > whole.end) whole.end = spans[last].end;
	}
	if (whole.end == top) {
		count = first;
		top = whole.start;
		return 0;
	}
	return splice(first, last, &whole, 1);
}

/* Make [start, end) used, whatever of it was used before. */
static int reserve(unsigned long start, unsigned long end)
{
	struct span rest[2];
	int first = 0, last, n = 0;
	while (first < count && spans[first].end <= start) first++;
	for (last = first; last < count && spans[last].start < end; last++) {
		if (spans[last].start < start) rest[n++] = (struct span){ spans[last].start, start };
		if (spans[last].end > end) rest[n++] = (struct span){ end, spans[last].end };
	}
	if (end > top) {
		unsigned long old = top;
		if (end > LAST_ADDRESS || !grow(end)) return -ENOMEM;
		top = end;
		if (start > old) rest[n++] = (struct span){ old, start };
	}
	return splice(first, last, rest, n);
}

static void clear(unsigned long start, unsigned long end)
{
	unsigned long stale = end < dirty ? end : dirty;
	if (stale > start) memset((void *)start, 0, stale - start);
	if (end > dirty) dirty = end;
}

static unsigned long find(unsigned long length)
{
	for (int i = 0; i < count; i++)
		if (spans[i].end - spans[i].start >= length) return spans[i].start;
	return top;
}

/* The zeroed pages at `start`, or wherever there is room if that is 0. */
static long take(unsigned long start, unsigned long length)
{
	if (!start) start = find(length);
	if (start > LAST_ADDRESS || length > LAST_ADDRESS - start) return -ENOMEM;
	int error = reserve(start, start + length);
	if (error) return error;
	clear(start, start + length);
	return start;
}

static long fill(unsigned long start, unsigned long length, long fd, unsigned long long offset)
{
	unsigned long done = 0;
	while (done < length) {
		long n = __syscall(SYS_pread64, fd, start + done, length - done, __SYSCALL_LL_O(offset + done));
		if (n == -ESPIPE || n == -EISDIR) return -ENODEV;
		if (n < 0) return n;
		if (!n) break;
		done += n;
	}
	return 0;
}

hidden long __wasm_mmap(unsigned long address, unsigned long length, long protection, long flags, long fd,
	unsigned long page)
{
	begin();
	length = round_up(length);
	if (!length) return -EINVAL;
	/* A fork copies, and nothing is written back to a file: a writable shared mapping would be a private one in disguise. */
	if ((flags & MAP_TYPE) != MAP_PRIVATE && protection & PROT_WRITE) return -ENODEV;
	if (!(flags & MAP_FIXED)) address = 0;
	else if (address & (PAGE - 1)) return -EINVAL;
	else if (address < bottom) return -EPERM;
	long start = take(address, length);
	if ((unsigned long)start > -PAGE || flags & MAP_ANON) return start;
	long error = fill(start, length, fd, (unsigned long long)page * PAGE);
	if (!error) return start;
	release(start, start + length);
	return error;
}

hidden long __wasm_munmap(unsigned long address, unsigned long length)
{
	begin();
	length = round_up(length);
	if (!length || address & (PAGE - 1) || address < bottom || length > LAST_ADDRESS - address) return -EINVAL;
	return release(address, address + length);
}

static int is_free(unsigned long start, unsigned long end)
{
	for (int i = 0; i < count; i++)
		if (spans[i].start <= start && end <= spans[i].end) return 1;
	return start == top;
}

hidden long __wasm_mremap(unsigned long address, unsigned long length, unsigned long wanted, long flags)
{
	length = round_up(length);
	wanted = round_up(wanted);
	if (!wanted || flags & ~MREMAP_MAYMOVE) return -EINVAL;
	if (wanted < length) release(address + wanted, address + length);
	if (wanted <= length) return address;
	if (wanted <= LAST_ADDRESS - address && is_free(address + length, address + wanted)) {
		long start = take(address + length, wanted - length);
		return (unsigned long)start > -PAGE ? start : (long)address;
	}
	if (!(flags & MREMAP_MAYMOVE)) return -ENOMEM;
	long start = take(0, wanted);
	if ((unsigned long)start > -PAGE) return start;
	memcpy((void *)start, (void *)address, length);
	release(address, address + length);
	return start;
}

hidden long __wasm_madvise(unsigned long address, unsigned long length, long advice)
{
	/* The one advice that promises something: reads afterwards give zeroes, or the file again. */
	return advice == MADV_DONTNEED ? -EINVAL : 0;
}
