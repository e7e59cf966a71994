/* What namespaces, nodes and hosts may be called. */
#ifndef QUORATE_API_CLUSTER_NAMES_H
#define QUORATE_API_CLUSTER_NAMES_H

#include <stdbool.h>

#include "quorate/cluster.h"

/* Whether `name` ends within its array and is [a-z][a-z0-9_-]*. */
bool quo_name_valid(const char name[QUO_NAME_MAX + 1]);

/* Whether `host` ends within its array, is not empty and has only what host names and numeric
 * addresses are made of: letters, digits, "-", ".", "_", ":", and "%" before a zone. */
bool quo_host_valid(const char host[QUO_HOST_MAX + 1]);

#endif
