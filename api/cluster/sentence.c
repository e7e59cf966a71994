#include "api/cluster/sentence.h"

#include "quorate/base.h"

struct quo_sentence quo_sentence(char *out, size_t size)
{
    if (size > 0)
        out[0] = '\0';
    return (struct quo_sentence){.at = out, .left = size};
}

void quo_sentence_text(struct quo_sentence *sentence, const char *text)
{
    if (sentence->left == 0)
        return;
    size_t len = QUO_MIN(strlen(text), sentence->left - 1);
    memcpy(sentence->at, text, len);
    sentence->at += len;
    sentence->left -= len;
    *sentence->at = '\0';
}

void quo_sentence_number(struct quo_sentence *sentence, uint64_t number)
{
    char digits[21]; /* 20 digits of 2^64 - 1 and a NUL */
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    quo_sentence_text(sentence, digits + at);
}
