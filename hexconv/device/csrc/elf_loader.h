/* Loading a Hexagon shared object into this Linux process. */
#ifndef HEXCONV_ELF_LOADER_H
#define HEXCONV_ELF_LOADER_H

/* Map, relocate and initialize the shared object; end the process with a message if it can't be. */
void elf_load(const char *path);

/* The address of a function that the object exports, or 0. */
void *elf_symbol(const char *name);

/* The exported function that holds `address`, and how far into it; 0 outside the object. */
const char *elf_function_at(unsigned address, unsigned *offset);

/* The architecture version of the DSP that the library was built for, as QuRT writes it. */
unsigned elf_architecture(void);

#endif
