#include "proxy/service/service.h"

static bool is_plain_write(const struct quo_request *request)
{
    return request->type == QUO_REQUEST_PUT || request->type == QUO_REQUEST_DELETE;
}

bool quo_request_is_consensus(const struct quo_request *request)
{
    if (request->type == QUO_REQUEST_GET || request->type == QUO_REQUEST_SETTLE)
        return false;
    if (request->ns->kind == QUO_KIND_CAS)
        return true;
    if (request->ns->kind != QUO_KIND_MIXED)
        return false;
    return !is_plain_write(request) || request->consistency.strong || request->has_opid ||
           request->condition != QUO_CONDITION_NONE;
}
