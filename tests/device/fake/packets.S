/* Functions around single packets that the emulator lacks or computes wrongly.
 *
 * Each is called with the address of its state in r0: words r2 to r7 at 0, predicates p3:0 at 24,
 * m0 at 28, then from 128 on eight vectors v0 to v7 (or all 32), then 1024 bytes of data at
 * r10 (r0 + 4224). r4 is an address in the data where STEP says how far. The state is written back.
 *
 * A function of which the symbols tell the size lets its stubs use v8 to v31; the other form of
 * each, which names all vectors and has no size, does not.
 */
	.text

	.macro load_words
	r1 = add(r0,#128)
	r10 = add(r0,#4224)
	r11 = add(r0,#4736)
	r2 = memw(r0+#24)
	p3:0 = r2
	r3 = memw(r0+#28)
	m0 = r3
	r3:2 = memd(r0+#0)
	r5:4 = memd(r0+#8)
	r7:6 = memd(r0+#16)
	.endm

	.macro store_words
	memd(r0+#0) = r3:2
	memd(r0+#8) = r5:4
	memd(r0+#16) = r7:6
	r2 = sub(r10,r0)
	memw(r0+#32) = r2
	r2 = sub(r11,r0)
	memw(r0+#36) = r2
	r1 = add(r0,#128)
	jumpr r31
	.endm

	/* `eight_NAME` and `all_NAME`, with the packets of the macro `body_NAME` in the middle */
	.macro functions name
	.globl eight_\name
	.type eight_\name, @function
	.balign 16
eight_\name:
	load_words
	.irp v, 0, 1, 2, 3, 4, 5, 6, 7
	v\v = vmem(r1++#1)
	.endr
	body_\name
	r1 = add(r0,#128)
	.irp v, 0, 1, 2, 3, 4, 5, 6, 7
	vmem(r1++#1) = v\v
	.endr
	store_words
	.size eight_\name, . - eight_\name

	.globl all_\name
	.type all_\name, @function
	.balign 16
all_\name:
	load_words
	.irp v, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	v\v = vmem(r1++#1)
	.endr
	body_\name
	r1 = add(r0,#128)
	.irp v, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmem(r1++#1) = v\v
	.endr
	store_words
	.endm

	/* what the emulator has anyway: to compare counts with */
	.macro body_ordinary
	{ v1 = v2 }
	.endm

	.macro body_pair
	{ v1:0.w += vrmpy(v2.b,r5:4.ub) }
	.endm

	.macro body_pair_unsigned
	{ v1:0.uw += vrmpy(v2.ub,r5:4.ub) }
	.endm

	.macro body_pairs_tmp
	{ v1:0.w += vrmpy(v4.b,r5:4.ub)
	  v3:2.w += vrmpy(v4.b,r7:6.ub)
	  v4.tmp = vmem(r10++#1) }
	.endm

	.macro body_pair_cur
	{ v1:0.w += vrmpy(v4.b,r5:4.ub)
	  v4.cur = vmem(r10+#1) }
	.endm

	/* the packet overwrites what its product reads */
	.macro body_pair_overwritten
	{ v1:0.w += vrmpy(v2.b,r5:4.ub)
	  r5:4 = memd(r10+#8)
	  v2 = vmem(r11+#0) }
	.endm

	.macro body_z
	{ z = vmem(r10+#0)
	  r4 = add(r10,r4) }
	{ v3:0.w += vrmpyz(v4.b,r4.ub) }
	r4 = sub(r4,r10)
	.endm

	.macro body_z_stepping
	{ z = vmem(r10+#0)
	  r4 = add(r10,r4) }
	{ v7.tmp = vmem(r11++#1)
	  v3:0.w += vrmpyz(v7.b,r4.ub++) }
	r4 = sub(r4,r10)
	.endm

	.macro body_z_and_load
	{ z = vmem(r10+#0)
	  r4 = add(r10,r4) }
	{ v7.tmp = vmem(r11++#1)
	  v3:0.w += vrmpyz(v7.b,r4.ub)
	  z = vmem(r10+#1)
	  r5 = add(r5,#7) }
	r4 = sub(r4,r10)
	.endm

	.macro body_z_load_if
	{ if (p0) z = vmem(r10+#0)
	  r5 = add(r5,#7) }
	.endm

	.macro body_loop0
	r4 = add(r10,r4)
	loop0(1f,#4)
1:	{ r5 = add(r5,#1) }
	{ v7.tmp = vmem(r11++#1)
	  v3:0.w += vrmpyz(v7.b,r4.ub++) }:endloop0
	r4 = sub(r4,r10)
	.endm

	.macro body_loop1
	r4 = add(r10,r4)
	loop1(1f,#3)
1:	{ r5 = add(r5,#1) }
	{ v1:0.w += vrmpy(v2.b,r7:6.ub)
	  r5 = add(r5,#3) }:endloop1
	r4 = sub(r4,r10)
	.endm

	.macro body_loops
	r4 = add(r10,r4)
	loop1(1f,#3)
1:	{ loop0(2f,#2)
	  r5 = add(r5,#100) }
2:	{ r5 = add(r5,#1) }
	{ v1:0.w += vrmpy(v2.b,r7:6.ub)
	  v3:2.w += vrmpy(v2.b,r7:6.ub)
	  r5 = add(r5,#3) }:endloop0:endloop1
	r4 = sub(r4,r10)
	.endm

	/* the packet starts a loop */
	.macro body_loop_start
	r4 = add(r10,r4)
	{ loop0(1f,r5)
	  v7.tmp = vmem(r11++#1)
	  v3:0.w += vrmpyz(v7.b,r4.ub++) }
1:	{ r6 = add(r6,#1) }:endloop0
	r4 = sub(r4,r10)
	.endm

	.macro body_load_if
	{ if (p0) v4.tmp = vmem(r10+#0)
	  v1.w = vadd(v2.w,v4.w) }
	.endm

	.macro body_load_if_not
	{ if (!p0) v4.cur = vmem(r11++#1)
	  v1.w = vadd(v2.w,v4.w) }
	.endm

	.macro body_load_if_and_jump
	{ if (p0) v4.tmp = vmem(r10+#0)
	  v1.w = vadd(v2.w,v4.w)
	  if (p1) jump 1f }
	r5 = add(r5,#7)
1:
	.endm

	.macro body_memcpy
	{ memcpy(r11,r10,m0) }
	.endm

	.macro body_memcpy_odd
	r10 = add(r10,#3)
	r11 = add(r11,#1)
	{ memcpy(r11,r10,m0) }
	r10 = add(r10,#-3)
	r11 = add(r11,#-1)
	.endm

	.irp name, ordinary, pair, pair_unsigned, pairs_tmp, pair_cur, pair_overwritten, z, z_stepping, z_and_load, z_load_if, loop0, loop1, loops, loop_start, load_if, load_if_not, load_if_and_jump, memcpy, memcpy_odd
	functions \name
	.endr

	.section .data.rel.ro,"aw"
	.balign 4
	.globl packet_functions
	.type packet_functions, @object
packet_functions:
	.irp name, ordinary, pair, pair_unsigned, pairs_tmp, pair_cur, pair_overwritten, z, z_stepping, z_and_load, z_load_if, loop0, loop1, loops, loop_start, load_if, load_if_not, load_if_and_jump, memcpy, memcpy_odd
	.word eight_\name
	.word all_\name
	.endr
	.size packet_functions, . - packet_functions
