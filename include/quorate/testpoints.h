/* Test points: rules that a test can switch off, and rare states that a campaign must reach.
 *
 * In programs both compile to nothing. In the libraries that the simulator links (QUO_TESTPOINTS=1)
 *   QUO_MUTANT(name)  is true when a test planted that bug (mutants.def);
 *   QUO_PROBE(name)   counts that the state was reached (probes.def).
 */
#ifndef QUORATE_TESTPOINTS_H
#define QUORATE_TESTPOINTS_H

#if defined(QUO_TESTPOINTS) && QUO_TESTPOINTS

#include <stdint.h>

enum quo_mutant {
    QUO_MUTANT_NONE = 0,
#define QUO_MUTANT_DEF(name, text) QUO_MUTANT_##name,
#include "quorate/mutants.def"
#undef QUO_MUTANT_DEF
    QUO_MUTANT_COUNT
};
enum quo_probe {
#define QUO_PROBE_DEF(name, text) QUO_PROBE_##name,
#include "quorate/probes.def"
#undef QUO_PROBE_DEF
    QUO_PROBE_COUNT
};
extern enum quo_mutant quo_mutant_planted;
extern uint64_t quo_probe_counts[];

#define QUO_MUTANT(name) (quo_mutant_planted == QUO_MUTANT_##name)
#define QUO_PROBE(name) ((void)quo_probe_counts[QUO_PROBE_##name]++)

#else

#define QUO_MUTANT(name) 0
#define QUO_PROBE(name) ((void)0)

#endif

#endif
