#include "proxy/http/openapi.h"

/* The assembler looks for the file where the compiler looks for headers: in the root. */
__asm__(".pushsection .rodata\n"
        "quo_openapi_begin:\n"
        ".incbin \"api/http/openapi.yaml\"\n"
        "quo_openapi_end:\n"
        ".popsection\n");

extern const uint8_t quo_openapi_begin[], quo_openapi_end[];

struct quo_slice quo_openapi(void)
{
    return quo_slice(quo_openapi_begin, (size_t)(quo_openapi_end - quo_openapi_begin));
}
