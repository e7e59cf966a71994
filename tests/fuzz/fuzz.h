/* What a fuzzer is to libFuzzer and to replay.c. */
#ifndef QUORATE_TESTS_FUZZ_FUZZ_H
#define QUORATE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Gives `size` bytes to the code under test; aborts when an invariant breaks. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
