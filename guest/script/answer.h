/* The answer to a line, put together as text. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begins a new answer: an empty object. */
void answer_begin(void);
/* Prints it, closed, as one line. */
void answer_end(void);

/* Members and elements. `key` is NULL in an array. */
void answer_number(const char *key, int64_t value);
/* 64 bits, which many readers of JSON cannot hold in a number: "0x..". */
void answer_u64(const char *key, uint64_t value);
void answer_bool(const char *key, bool value);
void answer_null(const char *key);
void answer_text(const char *key, const char *text, size_t length);
void answer_string(const char *key, const char *text);
void answer_hex(const char *key, const void *bytes, size_t length);
void answer_open(const char *key, char bracket);
void answer_close(char bracket);

/* {"ok":true}, or {"errno":..} when `error` is not 0. */
void answer_outcome(int error);
/* "errno":null, or its name. */
void answer_errno(int error);

/* How far the answer is, and back to there. */
size_t answer_mark(void);
void answer_rewind(size_t mark);

#endif
