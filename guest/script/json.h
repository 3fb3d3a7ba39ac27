/* JSON, without fractions: every number is an integer of 64 bits. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
  enum json_kind kind;
  /* The next element or member, and a member's key. */
  const struct json *next;
  const char *key;
  /* Of a boolean or number; a negative one in two's complement. */
  uint64_t number;
  bool negative;
  /* Of a string: its bytes in UTF-8, and a zero behind them. */
  const char *text;
  size_t length;
  /* Of an array or object. */
  const struct json *first;
  size_t count;
};

/* The one value in `length` bytes of text. Refuses everything else. */
const struct json *parse_json(const char *text, size_t length);

/* An object's member; NULL where it has none of that name. */
const struct json *member(const struct json *object, const char *key);
/* Refuses an object with members that `keys`, names between spaces, does not name. */
void only_members(const struct json *object, const char *keys);
/* A string's text. Refuses what is no string; `what` is named then. */
const char *text_of(const struct json *value, const char *what);

#endif
