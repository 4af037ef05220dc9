/* Empty: the entry point is C. See crt/crt1.c. */
