#include "storage-node/engine/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* reflected */
#define LANES 8

/* "Slicing by 8": table[k][b] is the remainder of byte b followed by k zero bytes. */
static uint32_t table[LANES][256];

__attribute__((constructor)) static void fill_table(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        table[0][b] = crc;
    }
    for (int k = 1; k < LANES; k++)
        for (uint32_t b = 0; b < 256; b++)
            table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
}

uint32_t quo_crc32c(struct quo_slice bytes)
{
    uint32_t crc = UINT32_MAX;
    const uint8_t *p = bytes.data;
    size_t left = bytes.len;

    for (; left >= LANES; p += LANES, left -= LANES) {
        uint32_t lo = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                             (uint32_t)p[3] << 24);
        crc = table[7][lo & 0xff] ^ table[6][lo >> 8 & 0xff] ^ table[5][lo >> 16 & 0xff] ^
              table[4][lo >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
              table[0][p[7]];
    }
    for (; left > 0; p++, left--)
        crc = (crc >> 8) ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}
