/* Counts what a program asks of the kernel and of the allocator, for tests that hold such counts to
 * bounds. Loaded into the program with LD_PRELOAD; QUORATE_COUNTS names the file that it writes.
 *
 * The file is mapped, so whoever reads it sees every count at once and disturbs nothing: a page
 * that begins with the counts' names, one a line, and an empty line; then a row of 64-bit counts
 * for each thread, in the order in which the threads first did something that counts.
 *
 * What the C library does inside is not seen: no futex, no file behind a FILE.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Allocations and copies are told apart by who called: the program itself, libh2o, RocksDB (with
 * the C++ library, which is there only for it), anybody else. The four of a kind follow one
 * another. */
#define COUNTS(X)                                                                                  \
    X(socket_reads)                                                                                \
    X(socket_writes)                                                                               \
    X(file_reads)                                                                                  \
    X(file_writes)                                                                                 \
    X(other_reads) /* eventfd, pipes */                                                            \
    X(other_writes)                                                                                \
    X(epoll_waits)                                                                                 \
    X(epoll_ctls)                                                                                  \
    X(syncs) /* fsync, fdatasync */                                                                \
    X(range_syncs)                                                                                 \
    X(randoms)                                                                                     \
    X(cond_waits) /* hand-overs between threads: a futex each, at most */                          \
    X(cond_signals)                                                                                \
    X(allocs_own)                                                                                  \
    X(allocs_h2o)                                                                                  \
    X(allocs_engine)                                                                               \
    X(allocs_other)                                                                                \
    X(frees)                                                                                       \
    X(copied_own) /* bytes, of copies of at least COPY_MIN */                                      \
    X(copied_h2o)                                                                                  \
    X(copied_engine)                                                                               \
    X(copied_other)

enum count {
#define COUNT(name) name,
    COUNTS(COUNT)
#undef COUNT
        COUNT_MAX
};

#define HEAD_BYTES 4096u
#define THREADS_MAX 128u
#define COPY_MIN 4096u
#define FDS_MAX 65536
#define RANGES_MAX 64u

enum caller { OWN, H2O, ENGINE, OTHER };

struct range {
    uintptr_t from, to;
    enum caller caller;
};

static struct range ranges[RANGES_MAX];
static size_t range_count;
static uint64_t *rows; /* NULL: nothing is counted yet */
static atomic_uint threads;
static _Atomic(uint8_t) kinds[FDS_MAX]; /* enum kind; 0: not known */
/* Not one that the linker's lazy lookup would allocate for. */
static __thread uint64_t *mine __attribute__((tls_model("initial-exec")));

static void add(enum count count, uint64_t amount)
{
    if (mine == NULL) {
        if (rows == NULL)
            return;
        unsigned int number = atomic_fetch_add(&threads, 1);
        if (number >= THREADS_MAX) {
            static const char why[] = "counts: too many threads\n";
            (void)!write(STDERR_FILENO, why, sizeof why - 1);
            abort();
        }
        mine = rows + (size_t)number * COUNT_MAX;
    }
    /* The only writer; a reader gets the old count or the new one. */
    __atomic_store_n(&mine[count], mine[count] + amount, __ATOMIC_RELAXED);
}

/* Where the code of the libraries lies. */

static enum caller caller_of_object(const char *path)
{
    if (path[0] == '\0')
        return OWN;
    if (strstr(path, "/libh2o") != NULL)
        return H2O;
    if (strstr(path, "/librocksdb") != NULL || strstr(path, "/libstdc++") != NULL)
        return ENGINE;
    return OTHER;
}

static int add_ranges(struct dl_phdr_info *object, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    enum caller caller = caller_of_object(object->dlpi_name);
    for (size_t i = 0; i < object->dlpi_phnum && caller != OTHER; i++) {
        if (object->dlpi_phdr[i].p_type != PT_LOAD || !(object->dlpi_phdr[i].p_flags & PF_X))
            continue;
        uintptr_t from = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
        if (range_count == RANGES_MAX)
            abort();
        ranges[range_count++] = (struct range){from, from + object->dlpi_phdr[i].p_memsz, caller};
    }
    return 0;
}

static enum caller caller_at(const void *address)
{
    for (size_t i = 0; i < range_count; i++) {
        if ((uintptr_t)address >= ranges[i].from && (uintptr_t)address < ranges[i].to)
            return ranges[i].caller;
    }
    return OTHER;
}

/* What a descriptor is. */

enum kind { UNKNOWN, SOCKET, FILE_ON_DISK, SOMETHING };

static enum kind kind_of(int fd)
{
    if (fd < 0 || fd >= FDS_MAX)
        return SOMETHING;
    enum kind kind = (enum kind)atomic_load_explicit(&kinds[fd], memory_order_relaxed);
    struct stat stat;
    if (kind == UNKNOWN) {
        if (fstat(fd, &stat) != 0)
            return SOMETHING;
        kind = S_ISSOCK(stat.st_mode) ? SOCKET : S_ISREG(stat.st_mode) ? FILE_ON_DISK : SOMETHING;
        atomic_store_explicit(&kinds[fd], (uint8_t)kind, memory_order_relaxed);
    }
    return kind;
}

static void count_read(int fd)
{
    static const enum count which[] = {0, socket_reads, file_reads, other_reads};
    add(which[kind_of(fd)], 1);
}

static void count_write(int fd)
{
    static const enum count which[] = {0, socket_writes, file_writes, other_writes};
    add(which[kind_of(fd)], 1);
}

/* System calls. REAL finds what stands behind the wrapper, at its first call. */

#define REAL_VERSION(name, lookup)                                                                 \
    static __typeof__(name) *_Atomic found;                                                        \
    __typeof__(name) *real = atomic_load_explicit(&found, memory_order_relaxed);                   \
    if (real == NULL) {                                                                            \
        *(void **)&real = (lookup);                                                                \
        atomic_store_explicit(&found, real, memory_order_relaxed);                                 \
    }
#define REAL(name) REAL_VERSION(name, dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *to, size_t size)
{
    REAL(read)
    count_read(fd);
    return real(fd, to, size);
}

ssize_t __read_chk(int fd, void *to, size_t size, size_t room);
ssize_t __read_chk(int fd, void *to, size_t size, size_t room)
{
    if (size > room)
        abort();
    return read(fd, to, size);
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
    REAL(readv)
    count_read(fd);
    return real(fd, parts, count);
}

ssize_t pread(int fd, void *to, size_t size, off_t at)
{
    REAL(pread)
    count_read(fd);
    return real(fd, to, size, at);
}

ssize_t pread64(int fd, void *to, size_t size, off64_t at)
{
    return pread(fd, to, size, at);
}

ssize_t recv(int fd, void *to, size_t size, int flags)
{
    REAL(recv)
    count_read(fd);
    return real(fd, to, size, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    REAL(recvmsg)
    count_read(fd);
    return real(fd, message, flags);
}

ssize_t write(int fd, const void *from, size_t size)
{
    REAL(write)
    count_write(fd);
    return real(fd, from, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev)
    count_write(fd);
    return real(fd, parts, count);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at)
{
    REAL(pwrite)
    count_write(fd);
    return real(fd, from, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at)
{
    return pwrite(fd, from, size, at);
}

ssize_t send(int fd, const void *from, size_t size, int flags)
{
    REAL(send)
    count_write(fd);
    return real(fd, from, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg)
    count_write(fd);
    return real(fd, message, flags);
}

int close(int fd)
{
    REAL(close)
    if (fd >= 0 && fd < FDS_MAX)
        atomic_store_explicit(&kinds[fd], UNKNOWN, memory_order_relaxed);
    return real(fd);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    REAL(epoll_wait)
    add(epoll_waits, 1);
    return real(fd, events, max, timeout_ms);
}

int epoll_ctl(int fd, int operation, int of, struct epoll_event *event)
{
    REAL(epoll_ctl)
    add(epoll_ctls, 1);
    return real(fd, operation, of, event);
}

int fsync(int fd)
{
    REAL(fsync)
    add(syncs, 1);
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync)
    add(syncs, 1);
    return real(fd);
}

int sync_file_range(int fd, off64_t from, off64_t size, unsigned int flags)
{
    REAL(sync_file_range)
    add(range_syncs, 1);
    return real(fd, from, size, flags);
}

ssize_t getrandom(void *to, size_t size, unsigned int flags)
{
    REAL(getrandom)
    add(randoms, 1);
    return real(to, size, flags);
}

/* Threads that wait for one another. The oldest of two versions is what dlsym() would find. */

#define REAL_COND(name) REAL_VERSION(name, dlvsym(RTLD_NEXT, #name, "GLIBC_2.3.2"))

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    REAL_COND(pthread_cond_wait)
    add(cond_waits, 1);
    return real(cond, mutex);
}

int pthread_cond_signal(pthread_cond_t *cond)
{
    REAL_COND(pthread_cond_signal)
    add(cond_signals, 1);
    return real(cond);
}

int pthread_cond_broadcast(pthread_cond_t *cond)
{
    REAL_COND(pthread_cond_broadcast)
    add(cond_signals, 1);
    return real(cond);
}

/* Memory. dlsym() may allocate, so the allocator is called by the names it has for this. */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

#define COUNT_ALLOCATION() add(allocs_own + caller_at(__builtin_return_address(0)), 1)

void *malloc(size_t size)
{
    COUNT_ALLOCATION();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    COUNT_ALLOCATION();
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    COUNT_ALLOCATION();
    return __libc_realloc(memory, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    COUNT_ALLOCATION();
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *ret = memory;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    COUNT_ALLOCATION();
    return __libc_memalign(alignment, size);
}

void free(void *memory)
{
    if (memory != NULL)
        add(frees, 1);
    __libc_free(memory);
}

/* Copies. Before the constructor has run the loader may want some already. */

static __typeof__(memmove) *real_memmove;

static void *move(void *to, const void *from, size_t size, const void *caller)
{
    if (size >= COPY_MIN)
        add(copied_own + caller_at(caller), size);
    if (real_memmove != NULL)
        return real_memmove(to, from, size);
    volatile uint8_t *out = to;
    const uint8_t *in = from;
    for (size_t i = 0; i < size; i++) {
        size_t at = (uintptr_t)to < (uintptr_t)from ? i : size - 1 - i;
        out[at] = in[at];
    }
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    return move(to, from, size, __builtin_return_address(0));
}

void *memmove(void *to, const void *from, size_t size)
{
    return move(to, from, size, __builtin_return_address(0));
}

void *__memcpy_chk(void *restrict to, const void *restrict from, size_t size, size_t room);
void *__memcpy_chk(void *restrict to, const void *restrict from, size_t size, size_t room)
{
    if (size > room)
        abort();
    return move(to, from, size, __builtin_return_address(0));
}

void *__memmove_chk(void *to, const void *from, size_t size, size_t room);
void *__memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    if (size > room)
        abort();
    return move(to, from, size, __builtin_return_address(0));
}

/* The file. */

static void *map_file(const char *path, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
        return MAP_FAILED;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return map;
}

__attribute__((constructor)) static void begin(void)
{
    *(void **)&real_memmove = dlsym(RTLD_NEXT, "memmove");
    const char *path = getenv("QUORATE_COUNTS");
    if (path == NULL)
        return;
    dl_iterate_phdr(add_ranges, NULL);
    char *map = map_file(path, HEAD_BYTES + THREADS_MAX * COUNT_MAX * sizeof *rows);
    if (map == MAP_FAILED) {
        perror(path);
        abort();
    }
#define NAME(name) #name "\n"
    static const char names[] = COUNTS(NAME) "\n";
#undef NAME
    _Static_assert(sizeof names <= HEAD_BYTES, "the names must fit");
    memcpy(map, names, sizeof names);
    rows = (uint64_t *)(void *)(map + HEAD_BYTES);
}
