/* The functions that the library expects to find. */
#ifndef HEXCONV_IMPORTS_H
#define HEXCONV_IMPORTS_H

/* The address of the function that implements import `name`, or 0. */
void *import_address(const char *name);

#endif
