/* Saving and restoring the callee-saved registers, as Hexagon's ABI has the compiler call it.
 *
 * Compilers may call these helpers instead of saving r16.. one by one. They are part of the
 * compiler's runtime, and zig's has none. The pair r17:16 lies 8 bytes below the frame pointer
 * r30, each further pair 8 bytes lower; `last` is the last register that is saved.
 */
	.text

	.macro function name
	.globl \name
	.type \name, @function
	.p2align 4
\name:
	.endm

	.macro save_down_to_18 last
	.if \last >= 27
	memd(r30+#-48) = r27:26
	.endif
	.if \last >= 25
	memd(r30+#-40) = r25:24
	.endif
	.if \last >= 23
	memd(r30+#-32) = r23:22
	.endif
	.if \last >= 21
	memd(r30+#-24) = r21:20
	.endif
	.if \last >= 19
	memd(r30+#-16) = r19:18
	.endif
	.endm

	.macro restore_all last
	.if \last >= 27
	r27:26 = memd(r30+#-48)
	.endif
	.if \last >= 25
	r25:24 = memd(r30+#-40)
	.endif
	.if \last >= 23
	r23:22 = memd(r30+#-32)
	.endif
	.if \last >= 21
	r21:20 = memd(r30+#-24)
	.endif
	.if \last >= 19
	r19:18 = memd(r30+#-16)
	.endif
	r17:16 = memd(r30+#-8)
	.endm

/* deallocframe overwrites r31 with the caller's own return address, which the tail call needs;
 * the way back from here is kept in r15. */
	.macro helpers last
function __save_r16_through_r\last
	save_down_to_18 \last
	{ memd(r30+#-8) = r17:16
	  jumpr r31 }
function __restore_r16_through_r\last\()_and_deallocframe
	restore_all \last
	dealloc_return
function __restore_r16_through_r\last\()_and_deallocframe_before_tailcall
	r15 = r31
	restore_all \last
	deallocframe
	jumpr r15
	.endm

	helpers 17
	helpers 19
	helpers 21
	helpers 23
	helpers 25
	helpers 27
