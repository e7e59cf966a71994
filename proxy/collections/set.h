/* The records of a set: a dot for each time that an element was added.
 *
 *   be16 length | name | be16 length | element | dot
 *
 * An observed-remove set (Shapiro et al., 2011): a dot is the version of its record, so it is made
 * once, and an element is there as long as one of its dots is. To remove an element is to delete
 * the dots that were seen of it: one that was added at the same time has another dot, and stays.
 *
 * Pure.
 */
#ifndef QUORATE_COLLECTIONS_SET_H
#define QUORATE_COLLECTIONS_SET_H

#include "quorate/collection.h"
#include "quorate/status.h"
#include "quorate/version.h"

#define QUO_ELEMENT_KEY_MAX                                                                        \
    (2u + QUO_COLLECTION_NAME_MAX + 2u + QUO_ELEMENT_MAX + QUO_VERSION_SIZE + 1u)

/* All of these require a name of 1 to QUO_COLLECTION_NAME_MAX bytes and an element of 1 to
 * QUO_ELEMENT_MAX, and return a length. */

/* What the keys of all dots of an element begin with; the dot follows. */
size_t quo_element_prefix(struct quo_slice name, struct quo_slice element,
                          uint8_t out[QUO_ELEMENT_KEY_MAX]);
/* What follows the keys of all its dots, and nothing else's. */
size_t quo_element_bound(struct quo_slice name, struct quo_slice element,
                         uint8_t out[QUO_ELEMENT_KEY_MAX]);
size_t quo_dot_key(struct quo_slice name, struct quo_slice element, struct quo_version dot,
                   uint8_t out[QUO_ELEMENT_KEY_MAX]);

/* Puts the dot where quo_dot_key writes it. Requires a key of that function and its length. */
void quo_dot_key_set(uint8_t *key, size_t len, struct quo_version dot);

/* Whether the bytes are the key of a dot; then *ret_element borrows from it. */
bool quo_dot_key_parse(struct quo_slice key, struct quo_slice *ret_element,
                       struct quo_version *ret_dot);

/* What follows the name in any key above. */
#define QUO_ELEMENT_TAIL_MAX (2u + QUO_ELEMENT_MAX + QUO_VERSION_SIZE + 1u)

/* Where a listing goes on: behind the key with this tail. As text, hexadecimal digits; made for one
 * set, and refused for any other. */
#define QUO_SET_CURSOR_MAX (8u + 2u * QUO_ELEMENT_TAIL_MAX)
/* Requires 1 to QUO_ELEMENT_TAIL_MAX bytes. Writes the text and a NUL. Returns its length. */
size_t quo_set_cursor_format(uint32_t ns, struct quo_slice name, struct quo_slice tail,
                             char out[QUO_SET_CURSOR_MAX + 1]);
/* Returns false for anything but what quo_set_cursor_format writes for this set; otherwise the
 * tail's length in *ret_len. */
bool quo_set_cursor_parse(struct quo_slice text, uint32_t ns, struct quo_slice name,
                          uint8_t out[QUO_ELEMENT_TAIL_MAX], size_t *ret_len);

#endif
