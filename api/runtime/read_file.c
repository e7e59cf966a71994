#include "api/runtime/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Reads up to `room` bytes, less only at the end of the file. Returns false with errno set. */
static bool read_all(int fd, char *bytes, size_t room, size_t *ret_len)
{
    size_t len = 0;
    while (len < room) {
        ssize_t got = read(fd, bytes + len, room - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    *ret_len = len;
    return true;
}

enum quo_status quo_read_file(const char *path, size_t max, char **ret_bytes, size_t *ret_len)
{
    enum quo_status status = QUO_IO_ERROR;
    size_t len = 0;
    char *bytes = NULL;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? QUO_NOT_FOUND : QUO_IO_ERROR;
    /* One byte more than allowed, to see whether there is more; and the NUL. */
    bytes = malloc(max + 2);
    if (bytes == NULL) {
        status = QUO_NO_MEMORY;
        goto out;
    }
    if (!read_all(fd, bytes, max + 1, &len))
        goto out;
    if (len > max) {
        status = QUO_TOO_LARGE;
        goto out;
    }
    bytes[len] = '\0';
    *ret_bytes = bytes;
    *ret_len = len;
    bytes = NULL;
    status = QUO_OK;
out:;
    const int kept = errno;
    free(bytes);
    close(fd);
    errno = kept;
    return status;
}
