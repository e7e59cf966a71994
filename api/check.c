#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "quorate/base.h"

_Noreturn void quo_check_failed(const char *kind, const char *what, const char *file, int line)
{
    /* dprintf: one write, and no buffer that abort would drop. */
    dprintf(STDERR_FILENO, "%s:%d: %s failed: %s\n", file, line, kind, what);
    abort();
}
