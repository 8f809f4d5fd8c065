/* Saving and restoring the callee-saved registers, as Hexagon's ABI has the compiler call it.
 *
 * Compilers may call these helpers instead of saving r16.. one by one. They are part of the
 * compiler's runtime, and zig's has none. Pair n of the registers, counted from r17:16, lies
 * 8 * (n + 1) bytes below the frame pointer r30.
 */
	.text

	.macro function name
	.globl \name
	.type \name, @function
	.p2align 4
\name:
	.endm

function __save_r16_through_r19
	memd(r30+#-16) = r19:18
	{ memd(r30+#-8) = r17:16
	  jumpr r31 }

function __save_r16_through_r27
	memd(r30+#-48) = r27:26
	memd(r30+#-40) = r25:24
	memd(r30+#-32) = r23:22
	memd(r30+#-24) = r21:20
	memd(r30+#-16) = r19:18
	{ memd(r30+#-8) = r17:16
	  jumpr r31 }

function __restore_r16_through_r19_and_deallocframe
	r19:18 = memd(r30+#-16)
	r17:16 = memd(r30+#-8)
	dealloc_return

function __restore_r16_through_r27_and_deallocframe
	r27:26 = memd(r30+#-48)
	r25:24 = memd(r30+#-40)
	r23:22 = memd(r30+#-32)
	r21:20 = memd(r30+#-24)
	r19:18 = memd(r30+#-16)
	r17:16 = memd(r30+#-8)
	dealloc_return

/* deallocframe overwrites r31 with the caller's own return address, which the tail call needs;
 * the way back from here is kept in r15. */
function __restore_r16_through_r19_and_deallocframe_before_tailcall
	r15 = r31
	r19:18 = memd(r30+#-16)
	r17:16 = memd(r30+#-8)
	deallocframe
	jumpr r15
