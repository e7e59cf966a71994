/* Builds a short sentence in a buffer of the caller's, cut to fit. Pure, hence without printf. */
#ifndef QUORATE_API_CLUSTER_SENTENCE_H
#define QUORATE_API_CLUSTER_SENTENCE_H

#include <stddef.h>
#include <stdint.h>

struct quo_sentence {
    char *at;
    size_t left; /* bytes that may still be written, the NUL included */
};

/* Starts an empty sentence. `size` may be 0: then nothing is ever written. */
struct quo_sentence quo_sentence(char *out, size_t size);
/* Appends; what does not fit is left out. The buffer is NUL-terminated after every call. */
void quo_sentence_text(struct quo_sentence *sentence, const char *text);
void quo_sentence_number(struct quo_sentence *sentence, uint64_t number);

#endif
