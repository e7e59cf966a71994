#include "storage-node/engine/crc32c.h"

#include <isa-l/crc.h>

/* Well within the library's int. */
#define PIECE (UINT32_C(1) << 30)

uint32_t quo_crc32c(struct quo_slice bytes)
{
    uint32_t crc = UINT32_MAX;

    while (bytes.len > 0) {
        size_t piece = QUO_MIN(bytes.len, (size_t)PIECE);
        /* The library only reads. */
        crc = crc32_iscsi((unsigned char *)(uintptr_t)bytes.data, (int)piece, crc);
        bytes = quo_slice(bytes.data + piece, bytes.len - piece);
    }
    return ~crc;
}
