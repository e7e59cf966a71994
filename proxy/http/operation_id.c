#include "proxy/http/operation_id.h"

#include "proxy/http/percent.h"

#define OPID_TEXT 32u
#define SINCE_TEXT 16u

_Static_assert(sizeof(struct quo_opid) == QUO_VERSION_SIZE, "both have one text");
_Static_assert(OPID_TEXT == QUO_VERSION_TEXT && OPID_TEXT + SINCE_TEXT == QUO_OPERATION_ID_MAX,
               "an id is an opid and a time");

bool quo_operation_id_of(const struct quo_response *response, struct quo_operation_id *ret)
{
    if (response->is_consensus) {
        *ret = (struct quo_operation_id){.opid = response->opid, .since = response->since};
        return true;
    }
    if (quo_version_is_none(response->receipt.version))
        return false;
    *ret = (struct quo_operation_id){.is_blind = true, .version = response->receipt.version};
    return true;
}

size_t quo_operation_id_format(const struct quo_operation_id *id,
                               char out[QUO_OPERATION_ID_MAX + 1])
{
    char since[QUO_VERSION_TEXT + 1];

    if (id->is_blind) {
        out[0] = 'v';
        quo_version_format(id->version, out + 1);
        return 1 + QUO_VERSION_TEXT;
    }
    quo_version_format(quo_version_decode(id->opid.bytes), out);
    quo_version_format((struct quo_version){.hlc = id->since}, since);
    memcpy(out + OPID_TEXT, since, SINCE_TEXT);
    out[QUO_OPERATION_ID_MAX] = 0;
    return QUO_OPERATION_ID_MAX;
}

static bool parse_blind(const char *text, struct quo_operation_id *ret)
{
    struct quo_version version;

    if (!quo_version_parse(text + 1, QUO_VERSION_TEXT, &version) || quo_version_is_none(version))
        return false;
    *ret = (struct quo_operation_id){.is_blind = true, .version = version};
    return true;
}

/* 48 digits: the second half of the first version read is the opid's, the second one's ends with
 * the time. */
static bool parse_decided(const char *text, struct quo_operation_id *ret)
{
    struct quo_version opid, tail;

    if (!quo_version_parse(text, QUO_VERSION_TEXT, &opid) ||
        !quo_version_parse(text + SINCE_TEXT, QUO_VERSION_TEXT, &tail) || tail.node == 0)
        return false;
    *ret = (struct quo_operation_id){.since = tail.node};
    quo_version_encode(opid, ret->opid.bytes);
    return true;
}

bool quo_operation_id_parse(struct quo_slice text, struct quo_operation_id *ret)
{
    char again[QUO_OPERATION_ID_MAX + 1];
    struct quo_operation_id id;
    const char *digits = (const char *)text.data;
    bool is_blind = text.len == 1 + QUO_VERSION_TEXT && digits[0] == 'v';

    if (!is_blind && text.len != QUO_OPERATION_ID_MAX)
        return false;
    if (!(is_blind ? parse_blind(digits, &id) : parse_decided(digits, &id)))
        return false;
    /* One write, one path: no capital digits. */
    if (!quo_slice_equal(text, quo_slice(again, quo_operation_id_format(&id, again))))
        return false;
    *ret = id;
    return true;
}

size_t quo_key_path(const char *ns, struct quo_slice key, char out[QUO_OPERATION_PATH_MAX])
{
    size_t ns_len = strlen(ns), len = 0;

    QUO_REQUIRE(ns_len <= QUO_NAME_MAX && key.len <= QUO_KEY_MAX);
    memcpy(out, "/v1/kv/", 7);
    memcpy(out + 7, ns, ns_len);
    len = 7 + ns_len;
    out[len++] = '/';
    return len + quo_percent_encode(key, out + len);
}

size_t quo_operation_path(const char *ns, struct quo_slice key, const struct quo_operation_id *id,
                          char out[QUO_OPERATION_PATH_MAX])
{
    char text[QUO_OPERATION_ID_MAX + 1];
    size_t len = quo_key_path(ns, key, out), id_len = quo_operation_id_format(id, text);

    memcpy(out + len, "/operations/", 12);
    memcpy(out + len + 12, text, id_len);
    return len + 12 + id_len;
}
