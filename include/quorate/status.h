/* The one error table. See status.def for what each code means. */
#ifndef QUORATE_STATUS_H
#define QUORATE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

enum quo_status {
#define QUO_STATUS(name, value, text) QUO_##name = (value),
#include "quorate/status.def"
#undef QUO_STATUS
};

/* The highest code that may stand in a reply. */
#define QUO_STATUS_WIRE_MAX 31

/* Returns the code's name in lower case with dashes ("wrong-epoch"), "unknown" for any other value.
 * Static storage. */
const char *quo_status_name(enum quo_status status);

/* Returns the sentence of status.def, "unknown status" for any other value. Static storage. */
const char *quo_status_text(enum quo_status status);

/* Whether `value` is a code that a replica may answer with. */
bool quo_status_on_wire(uint8_t value);

#endif
