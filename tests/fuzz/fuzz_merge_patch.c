/* Merge patches as clients send them, for values as clients left them. What comes out must be a
 * document, no larger than what went in, and applying the patch once more must change nothing. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "proxy/change/merge_patch.h"

static void check_result(struct quo_slice before, struct quo_slice patch, struct quo_slice after)
{
    char *again = NULL;
    size_t len = 0;

    QUO_INVARIANT(after.len <= QUO_MAX(before.len, 4u) + patch.len);
    QUO_INVARIANT(quo_json_check(after, NULL, 0) == QUO_OK);
    QUO_INVARIANT(quo_merge_patch(after, patch, after.len, &again, &len) == QUO_OK);
    QUO_INVARIANT(quo_slice_equal(quo_slice(again, len), after));
    free(again);
    if (after.len > 0)
        QUO_INVARIANT(quo_merge_patch(before, patch, after.len - 1, &again, &len) == QUO_TOO_LARGE);
}

/* The input: a document, a NUL, a patch. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    char why[64];

    if (nul == NULL)
        return 0;
    const struct quo_slice target = quo_slice(data, (size_t)(nul - data));
    const struct quo_slice patch = quo_slice(nul + 1, size - target.len - 1);
    const enum quo_status patch_status = quo_json_check(patch, why, sizeof why);
    const enum quo_status target_status = quo_json_check(target, why, sizeof why);
    char *text = NULL;
    size_t len = 0;
    const enum quo_status status = quo_merge_patch(target, patch, size + 4, &text, &len);
    if (patch_status != QUO_OK)
        QUO_INVARIANT(status == QUO_MALFORMED);
    else if (target.len > 0 && target_status != QUO_OK)
        QUO_INVARIANT(status == QUO_INVALID);
    else
        QUO_INVARIANT(status == QUO_OK);
    if (status == QUO_OK)
        check_result(target, patch, quo_slice(text, len));
    free(text);
    return 0;
}
