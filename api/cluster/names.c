#include "api/cluster/names.h"

/* ctype.h asks the locale; these do not. */
static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool quo_name_valid(const char name[QUO_NAME_MAX + 1])
{
    if (!is_lower(name[0]))
        return false;
    for (size_t i = 1; i <= QUO_NAME_MAX; i++) {
        char c = name[i];
        if (c == '\0')
            return true;
        if (!is_lower(c) && !is_digit(c) && c != '_' && c != '-')
            return false;
    }
    return false;
}

bool quo_host_valid(const char host[QUO_HOST_MAX + 1])
{
    for (size_t i = 0; i <= QUO_HOST_MAX; i++) {
        char c = host[i];
        if (c == '\0')
            return i > 0;
        if (!is_lower(c) && !(c >= 'A' && c <= 'Z') && !is_digit(c) && strchr("-._:%", c) == NULL)
            return false;
    }
    return false;
}

static const struct {
    enum quo_kind kind;
    const char *name;
} kinds[] = {
    {QUO_KIND_LWW, "lww"},
    {QUO_KIND_CAS, "cas"},
    {QUO_KIND_MIXED, "mixed"},
    {QUO_KIND_CRDT, "crdt"},
};

const char *quo_kind_name(enum quo_kind kind)
{
    for (size_t i = 0; i < QUO_COUNT(kinds); i++) {
        if (kinds[i].kind == kind)
            return kinds[i].name;
    }
    return "unknown";
}

bool quo_kind_parse(struct quo_slice name, enum quo_kind *ret)
{
    for (size_t i = 0; i < QUO_COUNT(kinds); i++) {
        if (quo_slice_equal(name, quo_slice_of(kinds[i].name))) {
            *ret = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static const struct {
    enum quo_level level;
    const char *name;
} levels[] = {
    {QUO_LEVEL_EVENTUAL, "eventual"}, {QUO_LEVEL_SESSION, "session"},
    {QUO_LEVEL_BOUNDED, "bounded"},   {QUO_LEVEL_QUORUM, "quorum"},
    {QUO_LEVEL_STRONG, "strong"},     {QUO_LEVEL_ALL, "all"},
};

const char *quo_level_name(enum quo_level level)
{
    for (size_t i = 0; i < QUO_COUNT(levels); i++) {
        if (levels[i].level == level)
            return levels[i].name;
    }
    return "unknown";
}

bool quo_level_parse(struct quo_slice name, enum quo_level *ret)
{
    for (size_t i = 0; i < QUO_COUNT(levels); i++) {
        if (quo_slice_equal(name, quo_slice_of(levels[i].name))) {
            *ret = levels[i].level;
            return true;
        }
    }
    return false;
}
