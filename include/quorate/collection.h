/* Collections: values of kind crdt that are made of many small records.
 *
 * A timeline, counter or set named `name` is the set of records whose key begins with be16 length |
 * name, under a namespace id that carries the collection in its high byte, so that none of them
 * ever meets a plain key. Each record has one writer or a name of its own, so the newest of each
 * key is all there is to merging: union of keys, newest version of each (a map of last-writer-wins
 * registers; Shapiro et al., "A comprehensive study of convergent and commutative replicated data
 * types", 2011). All of a collection are in the partition of its name.
 *
 * Pure.
 */
#ifndef QUORATE_COLLECTION_H
#define QUORATE_COLLECTION_H

#include "quorate/base.h"
#include "quorate/cluster.h"
#include "quorate/limits.h"

enum quo_collection {
    QUO_COLLECTION_NONE = 0, /* plain keys */
    QUO_COLLECTION_TIMELINE = 1,
    QUO_COLLECTION_COUNTER = 2,
    QUO_COLLECTION_SET = 3,
    QUO_COLLECTIONS = 4,
};

#define QUO_NAMESPACE_ID_MAX 0xffffffu /* the byte above is the collection's */

/* The namespace id of a collection's records, on the wire and in storage keys. */
static inline uint32_t quo_collection_ns(uint32_t ns, enum quo_collection collection)
{
    return ns | (uint32_t)collection << 24;
}
static inline uint32_t quo_collection_base(uint32_t id)
{
    return id & QUO_NAMESPACE_ID_MAX;
}
static inline uint8_t quo_collection_of(uint32_t id)
{
    return (uint8_t)(id >> 24);
}

/* Whether a namespace of this kind may have records under this id. */
static inline bool quo_collection_fits(uint32_t id, enum quo_kind kind)
{
    const uint8_t collection = quo_collection_of(id);

    return collection == QUO_COLLECTION_NONE ||
           (collection < QUO_COLLECTIONS && kind == QUO_KIND_CRDT);
}

/* Writes what all keys of a collection begin with: be16 length | name. Requires a name of 1 to
 * QUO_COLLECTION_NAME_MAX bytes and room for 2 + name.len. Returns the length. */
static inline size_t quo_collection_prefix(struct quo_slice name, uint8_t *out)
{
    quo_put_u16(out, (uint16_t)name.len);
    memcpy(out + 2, name.data, name.len);
    return 2 + name.len;
}

/* The name in the key of a record of a collection; cut where the bytes end. */
static inline struct quo_slice quo_collection_name(struct quo_slice key)
{
    size_t len = key.len >= 2 ? quo_get_u16(key.data) : 0;

    return len > 0 ? quo_slice(key.data + 2, QUO_MIN(len, key.len - 2)) : quo_slice(key.data, 0);
}

#endif
