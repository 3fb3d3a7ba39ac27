#define _GNU_SOURCE
#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *text;
static size_t used, room;

static void put(const char *bytes, size_t length) {
  if (used + length > room) {
    room = (used + length) * 2 + 4096;
    text = realloc(text, room);
    if (text == NULL) abort();
  }
  memcpy(text + used, bytes, length);
  used += length;
}

static void put_string(const char *bytes) { put(bytes, strlen(bytes)); }

static void put_quoted(const char *bytes, size_t length) {
  put("\"", 1);
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)bytes[i];
    char escape[8];
    if (c == '"' || c == '\\' || c == '\n' || c == '\t') {
      snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : c);
      put_string(escape);
    } else if (c < 0x20 || c > 0x7e) {
      /* A byte that is no ASCII counts as the character of that number. */
      snprintf(escape, sizeof escape, "\\u%04x", c);
      put_string(escape);
    } else {
      put((const char *)&c, 1);
    }
  }
  put("\"", 1);
}

static void begin_value(const char *key) {
  if (used > 0 && text[used - 1] != '{' && text[used - 1] != '[') put(",", 1);
  if (key == NULL) return;
  put_quoted(key, strlen(key));
  put(":", 1);
}

void answer_begin(void) {
  used = 0;
  put("{", 1);
}

void answer_end(void) {
  put("}\n", 2);
  for (size_t done = 0; done < used;) {
    ssize_t count = write(STDOUT_FILENO, text + done, used - done);
    if (count <= 0) exit(1);
    done += (size_t)count;
  }
}

void answer_number(const char *key, int64_t value) {
  char digits[32];
  begin_value(key);
  snprintf(digits, sizeof digits, "%" PRId64, value);
  put_string(digits);
}

void answer_u64(const char *key, uint64_t value) {
  char digits[32];
  begin_value(key);
  snprintf(digits, sizeof digits, "\"0x%" PRIx64 "\"", value);
  put_string(digits);
}

void answer_bool(const char *key, bool value) {
  begin_value(key);
  put_string(value ? "true" : "false");
}

void answer_null(const char *key) {
  begin_value(key);
  put_string("null");
}

void answer_text(const char *key, const char *bytes, size_t length) {
  begin_value(key);
  put_quoted(bytes, length);
}

void answer_string(const char *key, const char *string) {
  answer_text(key, string, strlen(string));
}

void answer_hex(const char *key, const void *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  begin_value(key);
  put("\"", 1);
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = ((const unsigned char *)bytes)[i];
    put((char[]){digits[byte >> 4], digits[byte & 15]}, 2);
  }
  put("\"", 1);
}

void answer_open(const char *key, char bracket) {
  begin_value(key);
  put(&bracket, 1);
}

void answer_close(char bracket) { put(&bracket, 1); }

void answer_errno(int error) {
  char number[16];
  if (error == 0) {
    answer_null("errno");
    return;
  }
  const char *name = strerrorname_np(error);
  snprintf(number, sizeof number, "%d", error);
  answer_string("errno", name == NULL ? number : name);
}

void answer_outcome(int error) {
  if (error == 0)
    answer_bool("ok", true);
  else
    answer_errno(error);
}

size_t answer_mark(void) { return used; }

void answer_rewind(size_t mark) { used = mark; }
