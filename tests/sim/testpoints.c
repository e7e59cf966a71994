#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];
