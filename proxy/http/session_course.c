/* What a session asks of its operations, and what it learns from them. */
#include "proxy/http/session.h"

void quo_session_ask(const struct quo_token *token, uint64_t key, struct quo_request *operation)
{
    bool is_session = operation->consistency.level == QUO_LEVEL_SESSION;

    if (operation->type != QUO_REQUEST_GET) {
        operation->above = token->max_hlc;
    } else if (is_session && !quo_token_find(token, key, &operation->fresh.least)) {
        operation->fresh.low_firm = token->low_firm;
        operation->fresh.low_weak = token->low_weak;
    }
}

void quo_session_learn(struct quo_token *token, uint64_t key, const struct quo_response *response)
{
    const struct quo_receipt *receipt = &response->receipt;
    struct quo_version shown = receipt->version;

    switch (response->verdict) {
    case QUO_VERDICT_WRITTEN:
        if (response->is_consensus)
            shown = response->change.changed;
        quo_token_add(token, key, shown, receipt->stable);
        break;
    case QUO_VERDICT_DECLINED:
        /* A write that its condition forbids has read the key. */
        quo_token_add(token, key, response->record.changed, receipt->stable);
        break;
    case QUO_VERDICT_FOUND:
    case QUO_VERDICT_ABSENT:
        quo_token_add(token, key, shown, receipt->stable);
        break;
    case QUO_VERDICT_TIMEOUT:
        /* It may be there, so what comes later must be above it. */
        if (response->outcome == QUO_UNKNOWN)
            quo_token_raise(token, shown.hlc);
        break;
    case QUO_VERDICT_UNAVAILABLE:
    case QUO_VERDICT_REFUSED:
    case QUO_VERDICT_UNSATISFIED:
        break;
    }
}
