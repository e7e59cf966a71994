/* api/http/openapi.yaml, byte for byte, as it was when the program was built. */
#ifndef QUORATE_HTTP_OPENAPI_H
#define QUORATE_HTTP_OPENAPI_H

#include "quorate/base.h"

struct quo_slice quo_openapi(void);

#endif
