/* What names entries, elements and places in timelines and sets: text from clients, and keys that a
 * node sends. What is taken must be what its writer writes.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "proxy/collections/set.h"
#include "proxy/collections/timeline.h"
#include "proxy/http/set_body.h"

static void try_id(struct quo_slice bytes)
{
    char text[QUO_ENTRY_ID_MAX + 1];
    struct quo_entry_id id;

    if (!quo_entry_id_parse(bytes, &id))
        return;
    const size_t len = quo_entry_id_format(&id, text);
    QUO_INVARIANT(quo_slice_equal(bytes, quo_slice(text, len)));
}

static void try_entry_key(struct quo_slice bytes)
{
    uint8_t again[QUO_TIMELINE_KEY_MAX];
    struct quo_entry_id id;
    const struct quo_slice name = quo_collection_name(bytes);

    if (!quo_entry_key_parse(bytes, &id) || name.len > QUO_COLLECTION_NAME_MAX)
        return;
    const size_t len = quo_entry_key(name, &id, again);
    QUO_INVARIANT(quo_slice_equal(bytes, quo_slice(again, len)));
}

static void try_dot_key(struct quo_slice bytes)
{
    uint8_t again[QUO_ELEMENT_KEY_MAX];
    struct quo_slice element;
    struct quo_version dot;
    const struct quo_slice name = quo_collection_name(bytes);

    if (!quo_dot_key_parse(bytes, &element, &dot) || name.len > QUO_COLLECTION_NAME_MAX)
        return;
    const size_t len = quo_dot_key(name, element, dot, again);
    QUO_INVARIANT(quo_slice_equal(bytes, quo_slice(again, len)));
}

static void try_cursor(struct quo_slice bytes)
{
    uint8_t tail[QUO_ELEMENT_TAIL_MAX];
    char text[QUO_SET_CURSOR_MAX + 1];
    const struct quo_slice name = quo_slice_of("friends");
    size_t len;

    if (quo_set_cursor_parse(bytes, 3, name, tail, &len)) {
        const size_t text_len = quo_set_cursor_format(3, name, quo_slice(tail, len), text);
        QUO_INVARIANT(quo_slice_equal(bytes, quo_slice(text, text_len)));
    }
    if (bytes.len < 1 || bytes.len > QUO_ELEMENT_TAIL_MAX)
        return;
    const size_t text_len = quo_set_cursor_format(3, name, bytes, text);
    QUO_INVARIANT(quo_set_cursor_parse(quo_slice(text, text_len), 3, name, tail, &len));
    QUO_INVARIANT(quo_slice_equal(bytes, quo_slice(tail, len)));
}

/* Elements are written within the room that the function asks for. */
static void try_body(struct quo_slice bytes)
{
    uint8_t *out = malloc(bytes.len + 1);
    struct quo_problem problem;
    uint32_t count = 0;
    size_t len = 0, at = 0;

    if (out == NULL)
        return;
    if (quo_set_body_parse(bytes, out, &count, &len, &problem)) {
        QUO_INVARIANT(len <= bytes.len);
        for (uint32_t i = 0; i < count; i++)
            at += 2u + quo_get_u16(out + at);
        QUO_INVARIANT(at == len && count >= 1 && count <= QUO_ELEMENTS_MAX);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct quo_slice bytes = quo_slice(data, size);

    try_id(bytes);
    try_entry_key(bytes);
    try_dot_key(bytes);
    try_cursor(bytes);
    try_body(bytes);
    return 0;
}
