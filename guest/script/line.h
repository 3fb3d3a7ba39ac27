/* What lives as long as a line of a script, and how a line is given up. */
#ifndef LINE_H
#define LINE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory that lasts until the end of the line, aligned to 16 bytes. */
void *take(size_t length);
/* Frees all that the line took. */
void forget_line(void);

/* Where `refuse` returns to. */
extern jmp_buf line_refused;
/* What it said. */
extern char refusal[512];
/* Gives the line up: it is no line of a script. What a call answers is never a refusal. */
_Noreturn void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
