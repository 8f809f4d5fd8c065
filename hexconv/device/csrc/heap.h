/* What the library holds of the DSP's heap and of VTCM. */
#ifndef HEXCONV_HEAP_H
#define HEXCONV_HEAP_H

#include <stdint.h>

/* Bytes held now. */
uint32_t heap_held(void);

/* The most bytes held since the last call. */
uint32_t heap_most(void);

/* The most bytes of VTCM held at once since the process began. */
uint32_t vtcm_most(void);

#endif
