#include "line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

jmp_buf line_refused;
char refusal[512];

/* A piece of memory, and what follows its head. */
struct piece {
  struct piece *before;
  char padding[16 - sizeof(struct piece *)];
};

static struct piece *pieces;

void *take(size_t length) {
  struct piece *piece = calloc(1, sizeof *piece + length + 1);
  if (piece == NULL) refuse("no memory for %zu bytes", length);
  piece->before = pieces;
  pieces = piece;
  return piece + 1;
}

void forget_line(void) {
  while (pieces != NULL) {
    struct piece *before = pieces->before;
    free(pieces);
    pieces = before;
  }
}

void refuse(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(refusal, sizeof refusal, format, arguments);
  va_end(arguments);
  longjmp(line_refused, 1);
}
