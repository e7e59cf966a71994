/* Reads a whole small file. Start-up only. */
#ifndef QUORATE_API_RUNTIME_READ_FILE_H
#define QUORATE_API_RUNTIME_READ_FILE_H

#include <stddef.h>

#include "quorate/status.h"

/* Reads `path`, at most `max` bytes, into memory that the caller frees; a NUL follows the bytes.
 * Returns QUO_OK; QUO_NOT_FOUND, QUO_IO_ERROR or QUO_NO_MEMORY with errno set; QUO_TOO_LARGE. */
enum quo_status quo_read_file(const char *path, size_t max, char **ret_bytes, size_t *ret_len);

#endif
