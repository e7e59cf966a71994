/* What adapters on the same socket library need of a loop beyond quorate/loop.h. */
#ifndef QUORATE_RUNTIME_LOOP_H2O_H
#define QUORATE_RUNTIME_LOOP_H2O_H

#include <h2o.h>

#include "quorate/loop.h"

/* Input buffers for frames: they start large enough for a turn's worth of frames and, unlike the
 * library's own, never become files in /tmp. Borrowed; lives as long as the loop. */
h2o_buffer_prototype_t *quo_loop_input_prototype(struct quo_loop *loop);

#endif
