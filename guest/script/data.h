/* Bytes as scripts write them, and structures as bytes. */
#ifndef DATA_H
#define DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "layout.h"

/* The most bytes that a line may ask for. */
#define MAX_LENGTH (1u << 20)

/* Bytes of a script, until the end of its line. */
struct data {
  uint8_t *bytes;
  size_t length;
  /* How they were written, so that they can be answered alike. */
  const struct json *form;
  const struct layout *target;
};

/* Data that stands in the place of a pointer. */
struct inline_data {
  const struct inline_data *next;
  const struct field *field;
  struct data data;
};

/* A structure, and what follows it. */
struct filled {
  const struct layout *layout;
  uint8_t *bytes;
  /* Of the structure as the call is told, and with all that follows it. */
  size_t length;
  /* What follows it; no bytes where nothing was asked to. */
  struct data rest;
  const struct inline_data *inlined;
};

/*
 * "0011ff", {"hex":..}, {"text":..}, {"zero":64}, {"u8":[..]}, {"u32":[..]}, {"u64":[..]}, {"iommu_iova_range":{..}} or
 * [..] of it, or, where the place says which structure, just a list of it. Refuses everything else.
 */
struct data data_of(const struct json *form, const struct layout *target, const char *what);
/* Answers bytes in the form they were written in. */
void answer_data(const char *key, const struct data *data);

/* A structure from its fields; those that are missing are 0, and its size what it is. `operation` is that of a test call. */
struct filled fill(const struct layout *layout, const struct json *fields, uint32_t operation);
/* Answers what a call may have written: fields that differ from `before`, and when it went well those called out_. */
void answer_changes(const struct filled *after, const uint8_t *before, bool well);
/* Whether "field" or "field.field" is one that `value_at` can read. */
bool has_value(const struct filled *filled, const char *path);
uint64_t value_at(const struct filled *filled, const char *path);

/* One field as it stands in a structure. */
void answer_field(const struct field *field, const uint8_t *structure);

#endif
