#include <stdlib.h>

#include "sim.h"

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->time != b->time ? a->time < b->time : a->tie < b->tie;
}

void sim_heap_push(struct sim_heap *heap, const struct sim_event *event)
{
    if (heap->count == heap->room) {
        heap->room = 2 * heap->room + 256;
        heap->events = realloc(heap->events, heap->room * sizeof *heap->events);
        QUO_REQUIRE(heap->events != NULL);
    }
    size_t at = heap->count++;
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!earlier(event, &heap->events[parent]))
            break;
        heap->events[at] = heap->events[parent];
        at = parent;
    }
    heap->events[at] = *event;
}

struct sim_event sim_heap_pop(struct sim_heap *heap)
{
    QUO_REQUIRE(heap->count > 0);
    struct sim_event top = heap->events[0];
    struct sim_event last = heap->events[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && earlier(&heap->events[child + 1], &heap->events[child]))
            child++;
        if (!earlier(&heap->events[child], &last))
            break;
        heap->events[at] = heap->events[child];
        at = child;
    }
    heap->events[at] = last;
    return top;
}
