/* CRC-32C (Castagnoli), as in RFC 3720, appendix B.4. Pure. */
#ifndef QUORATE_NODE_CRC32C_H
#define QUORATE_NODE_CRC32C_H

#include "quorate/base.h"

uint32_t quo_crc32c(struct quo_slice bytes);

#endif
