# The tag that longjmp throws. Older compilers define it weakly in every object, newer ones expect it from the C library:
# alone in its object, it is pulled from the archive only when it is missing.
	.globl __c_longjmp
	.tagtype __c_longjmp i32
__c_longjmp:
