/* How an object gets its members. */
#ifndef QUORATE_PROXY_JSON_OBJECT_H
#define QUORATE_PROXY_JSON_OBJECT_H

#include "proxy/change/json.h"

/* Appends a member; it may belong to another object no more. */
void quo_json_append(struct quo_json_object *object, struct quo_json_member *member);

/* The object has all members that it was read with: leaves one of each name, and sorts them.
 * Returns false when out of memory. */
bool quo_json_seal(struct quo_json_object *object, struct quo_json_arena *arena);

/* As memcmp of the names; a name stands before those that it begins. */
int quo_json_compare_names(const struct quo_json_member *a, const struct quo_json_member *b);

#endif
