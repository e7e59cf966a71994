#include "storage-node/engine/store_memory.h"

struct quo_store *quo_store_null_new(struct quo_mailbox *mailbox)
{
    return quo_store_memory_make(mailbox, 1u << QUO_FAMILY_META);
}
