/* long system_call(long number, long a, long b, long c, long d, long e) */
	.text
	.globl system_call
	.type system_call, @function
system_call:
	r6 = r0
	r0 = r1
	r1 = r2
	r2 = r3
	r3 = r4
	r4 = r5
	trap0(#1)
	jumpr r31
