#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "line.h"

/* Deeper values are refused, so that a line cannot use up the stack. */
#define MAX_DEPTH 32

struct reader {
  const char *start, *at, *end;
};

static struct json *value(struct reader *r, int depth);

_Noreturn static void unexpected(const struct reader *r, const char *wanted) {
  refuse("no JSON: %s expected at character %zu", wanted, (size_t)(r->at - r->start) + 1);
}

static void skip_space(struct reader *r) {
  while (r->at < r->end && strchr(" \t\r\n", *r->at) != NULL && *r->at != 0) r->at++;
}

static bool next_is(const struct reader *r, char c) { return r->at < r->end && *r->at == c; }

static void expect(struct reader *r, char c) {
  if (!next_is(r, c)) unexpected(r, (char[]){'"', c, '"', 0});
  r->at++;
}

static unsigned hex4(struct reader *r) {
  unsigned code = 0;
  for (int i = 0; i < 4; i++, r->at++) {
    const char *digits = "0123456789abcdef", *digit;
    char c = r->at < r->end ? *r->at : 0;
    if (c >= 'A' && c <= 'F') c += 'a' - 'A';
    digit = c == 0 ? NULL : strchr(digits, c);
    if (digit == NULL) unexpected(r, "four hexadecimal digits");
    code = code * 16 + (unsigned)(digit - digits);
  }
  return code;
}

static char *put_utf8(char *to, unsigned code) {
  if (code < 0x80) {
    *to++ = (char)code;
  } else if (code < 0x800) {
    *to++ = (char)(0xc0 | code >> 6);
    *to++ = (char)(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *to++ = (char)(0xe0 | code >> 12);
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  } else {
    *to++ = (char)(0xf0 | code >> 18);
    *to++ = (char)(0x80 | (code >> 12 & 0x3f));
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  }
  return to;
}

static char *put_escape(struct reader *r, char *to) {
  static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
  char c = r->at < r->end ? *r->at++ : 0;
  const char *name = c == 0 ? NULL : strchr(names, c);
  if (name != NULL) {
    *to++ = bytes[name - names];
    return to;
  }
  if (c != 'u') unexpected(r, "an escape");
  unsigned code = hex4(r);
  if (code >= 0xd800 && code < 0xdc00 && next_is(r, '\\')) {
    r->at++;
    expect(r, 'u');
    unsigned low = hex4(r);
    if (low < 0xdc00 || low > 0xdfff) unexpected(r, "the second half of a surrogate pair");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  return put_utf8(to, code);
}

/* A string's bytes; no text grows when its escapes are undone. */
static char *string(struct reader *r, size_t *length) {
  expect(r, '"');
  char *text = take((size_t)(r->end - r->at)), *to = text;
  while (!next_is(r, '"')) {
    if (r->at >= r->end || (unsigned char)*r->at < 0x20) unexpected(r, "the end of a string");
    if (*r->at != '\\') {
      *to++ = *r->at++;
      continue;
    }
    r->at++;
    to = put_escape(r, to);
  }
  r->at++;
  *length = (size_t)(to - text);
  return text;
}

static void number(struct reader *r, struct json *v) {
  v->kind = JSON_NUMBER;
  v->negative = next_is(r, '-');
  if (v->negative) r->at++;
  const char *digits = r->at;
  while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
    uint64_t digit = (uint64_t)(*r->at - '0');
    if (__builtin_mul_overflow(v->number, 10, &v->number) ||
        __builtin_add_overflow(v->number, digit, &v->number))
      refuse("a number has more than 64 bits");
    r->at++;
  }
  if (r->at == digits) unexpected(r, "a digit");
  if (next_is(r, '.') || next_is(r, 'e') || next_is(r, 'E')) refuse("a number is no integer");
  if (v->negative) {
    if (v->number > (uint64_t)1 << 63) refuse("a number has more than 64 bits");
    v->number = -v->number;
  }
}

static void word(struct reader *r, const char *name) {
  size_t length = strlen(name);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, name, length) != 0)
    unexpected(r, "a value");
  r->at += length;
}

static bool has_key(const struct json *object, const char *key) {
  return member(object, key) != NULL;
}

/* The elements of an array, or the members of an object. */
static void elements(struct reader *r, struct json *v, char close, int depth) {
  const struct json **last = &v->first;
  r->at++;
  skip_space(r);
  if (next_is(r, close)) {
    r->at++;
    return;
  }
  for (;;) {
    const char *key = NULL;
    size_t length;
    skip_space(r);
    if (close == '}') {
      key = string(r, &length);
      if (strlen(key) != length) refuse("a key has a zero in it");
      if (has_key(v, key)) refuse("\"%s\" is there twice", key);
      skip_space(r);
      expect(r, ':');
    }
    struct json *element = value(r, depth + 1);
    element->key = key;
    *last = element;
    last = &element->next;
    v->count++;
    skip_space(r);
    if (next_is(r, close)) break;
    expect(r, ',');
  }
  r->at++;
}

static struct json *value(struct reader *r, int depth) {
  struct json *v = take(sizeof *v);
  if (depth > MAX_DEPTH) refuse("values lie more than %d deep in each other", MAX_DEPTH);
  skip_space(r);
  switch (r->at < r->end ? *r->at : 0) {
    case '{':
      v->kind = JSON_OBJECT;
      elements(r, v, '}', depth);
      break;
    case '[':
      v->kind = JSON_ARRAY;
      elements(r, v, ']', depth);
      break;
    case '"':
      v->kind = JSON_STRING;
      v->text = string(r, &v->length);
      break;
    case 'n':
      word(r, "null");
      break;
    case 't':
      v->kind = JSON_BOOL;
      v->number = 1;
      word(r, "true");
      break;
    case 'f':
      v->kind = JSON_BOOL;
      word(r, "false");
      break;
    default:
      if (!next_is(r, '-') && (r->at >= r->end || *r->at < '0' || *r->at > '9'))
        unexpected(r, "a value");
      number(r, v);
  }
  return v;
}

const struct json *parse_json(const char *text, size_t length) {
  struct reader r = {text, text, text + length};
  const struct json *v = value(&r, 0);
  skip_space(&r);
  if (r.at != r.end) unexpected(&r, "the end of the line");
  return v;
}

const struct json *member(const struct json *object, const char *key) {
  if (object->kind != JSON_OBJECT) return NULL;
  for (const struct json *m = object->first; m != NULL; m = m->next)
    if (m->key != NULL && strcmp(m->key, key) == 0) return m;
  return NULL;
}

void only_members(const struct json *object, const char *keys) {
  for (const struct json *m = object->first; m != NULL; m = m->next) {
    size_t length = strlen(m->key);
    const char *at = keys;
    bool found = false;
    while (!found && (at = strstr(at, m->key)) != NULL) {
      found = (at == keys || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0);
      at++;
    }
    if (!found || length == 0) refuse("\"%s\" is none of: %s", m->key, keys);
  }
}

const char *text_of(const struct json *value, const char *what) {
  if (value == NULL || value->kind != JSON_STRING) refuse("%s is no string", what);
  if (strlen(value->text) != value->length) refuse("%s has a zero in it", what);
  return value->text;
}
