#include "storage-node/engine/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage-node/engine/crc32c.h"

#define FILE_NAME "IDENTITY"
#define NEW_NAME "IDENTITY.new"
#define TEXT_MAX 256

static void io_failed(char *why, size_t why_size, const char *directory, const char *what)
{
    snprintf(why, why_size, "cannot %s %s/%s: %s", what, directory, FILE_NAME, strerror(errno));
}

/* Returns the length. */
static size_t format_text(const struct quo_identity *identity, char text[TEXT_MAX])
{
    int len = snprintf(text, TEXT_MAX,
                       "quorate-identity 1\ncluster %016" PRIx64 "\nreplica %016" PRIx64 "\n",
                       identity->cluster, identity->replica);
    uint32_t checksum = quo_crc32c(quo_slice(text, (size_t)len));

    len += snprintf(text + len, TEXT_MAX - (size_t)len, "crc32c %08" PRIx32 "\n", checksum);
    QUO_INVARIANT(len < TEXT_MAX);
    return (size_t)len;
}

/* There is one way to write an identity: what was read must be what would be written. */
static bool parse_text(const char *text, size_t len, struct quo_identity *ret)
{
    struct quo_identity identity;
    char again[TEXT_MAX];

    if (sscanf(text, "quorate-identity 1\ncluster %16" SCNx64 "\nreplica %16" SCNx64 "\n",
               &identity.cluster, &identity.replica) != 2 ||
        identity.cluster == 0 || identity.replica == 0)
        return false;
    if (!quo_slice_equal(quo_slice(text, len), quo_slice(again, format_text(&identity, again))))
        return false;
    *ret = identity;
    return true;
}

/* Returns false with errno. */
static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return fsync(fd) == 0;
}

/* Writes the file under its name only once its bytes are on disk. Returns false with errno. */
static bool write_file(int directory, const struct quo_identity *identity)
{
    char text[TEXT_MAX];
    size_t len = format_text(identity, text);
    int fd = openat(directory, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written;

    if (fd < 0)
        return false;
    written = write_all(fd, text, len);
    if (close(fd) != 0 || !written)
        return false;
    return renameat(directory, NEW_NAME, directory, FILE_NAME) == 0 && fsync(directory) == 0;
}

/* Returns false with errno. */
static bool sync_parent(int directory)
{
    int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced;

    if (parent < 0)
        return false;
    synced = fsync(parent) == 0;
    close(parent);
    return synced;
}

/* Returns -1 with errno when it cannot be read. */
static int count_entries(const char *directory)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    int count = 0;

    if (stream == NULL)
        return -1;
    while ((entry = readdir(stream)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return count;
}

static uint64_t random_id(void)
{
    uint64_t id = 0;

    while (id == 0) {
        ssize_t n = getrandom(&id, sizeof(id), 0);
        if (n != (ssize_t)sizeof(id)) {
            QUO_INVARIANT(n < 0 && errno == EINTR);
            id = 0;
        }
    }
    return id;
}

enum quo_status quo_identity_create(const char *directory, uint64_t cluster,
                                    struct quo_identity *ret, char *why, size_t why_size)
{
    struct quo_identity identity = {.cluster = cluster, .replica = random_id()};
    enum quo_status status = QUO_IO_ERROR;
    int fd = -1;
    int entries;

    QUO_REQUIRE(cluster != 0);
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        goto failed;
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    entries = fd < 0 ? -1 : count_entries(directory);
    if (entries < 0)
        goto failed;
    if (entries > 0) {
        snprintf(why, why_size, "%s is not empty: a new replica starts in an empty directory",
                 directory);
        status = QUO_INVALID;
        goto out;
    }
    if (!write_file(fd, &identity) || !sync_parent(fd))
        goto failed;
    *ret = identity;
    status = QUO_OK;
    goto out;

failed:
    io_failed(why, why_size, directory, "write");
out:
    if (fd >= 0)
        close(fd);
    return status;
}

/* Sets *ret_fd to the open file on success only. */
static enum quo_status read_open(const char *directory, struct quo_identity *ret, int *ret_fd,
                                 char *why, size_t why_size)
{
    char path[4096 + sizeof(FILE_NAME) + 1];
    char text[TEXT_MAX];
    ssize_t len;
    int fd;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, FILE_NAME) >= sizeof(path)) {
        snprintf(why, why_size, "the name of the data directory is too long");
        return QUO_IO_ERROR;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        snprintf(
            why, why_size,
            "%s has no identity: make one with \"quorate-node --init --data %s --cluster ID\" and "
            "put the replica id it prints into the cluster map",
            directory, directory);
        return QUO_NOT_FOUND;
    }
    if (fd < 0) {
        io_failed(why, why_size, directory, "open");
        return QUO_IO_ERROR;
    }
    len = pread(fd, text, sizeof(text) - 1, 0);
    if (len < 0) {
        io_failed(why, why_size, directory, "read");
        close(fd);
        return QUO_IO_ERROR;
    }
    text[len] = '\0';
    if (!parse_text(text, (size_t)len, ret)) {
        snprintf(why, why_size, "%s was altered: it is not what --init wrote", path);
        close(fd);
        return QUO_CORRUPT;
    }
    *ret_fd = fd;
    return QUO_OK;
}

enum quo_status quo_identity_read(const char *directory, struct quo_identity *ret, char *why,
                                  size_t why_size)
{
    int fd = -1;
    enum quo_status status = read_open(directory, ret, &fd, why, why_size);

    if (status == QUO_OK)
        close(fd);
    return status;
}

enum quo_status quo_identity_hold(const char *directory, struct quo_identity *ret, int *ret_lock,
                                  char *why, size_t why_size)
{
    struct quo_identity identity;
    int fd = -1;
    enum quo_status status = read_open(directory, &identity, &fd, why, why_size);

    if (status != QUO_OK)
        return status;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        bool held = errno == EWOULDBLOCK;
        io_failed(why, why_size, directory, "lock");
        if (held)
            snprintf(why, why_size, "another process uses %s", directory);
        close(fd);
        return held ? QUO_BUSY : QUO_IO_ERROR;
    }
    *ret = identity;
    *ret_lock = fd;
    return QUO_OK;
}
