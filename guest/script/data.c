#define _GNU_SOURCE
#include "data.h"

#include <string.h>

#include "answer.h"
#include "line.h"
#include "names.h"

static struct data new_data(const struct json *form, size_t length) {
  if (length > MAX_LENGTH) refuse("%zu bytes are more than %u", length, MAX_LENGTH);
  return (struct data){take(length), length, form, NULL};
}

static uint8_t hex_digit(char c) {
  if (c >= '0' && c <= '9') return (uint8_t)(c - '0');
  if (c >= 'a' && c <= 'f') return (uint8_t)(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return (uint8_t)(c - 'A' + 10);
  refuse("'%c' is no hexadecimal digit", c);
}

static struct data hex_data(const struct json *form, const char *text) {
  size_t length = strlen(text);
  if (length % 2 != 0) refuse("a byte has two hexadecimal digits");
  struct data data = new_data(form, length / 2);
  for (size_t i = 0; i < data.length; i++)
    data.bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
  return data;
}

/* Puts the low bytes of a number; the machine and its kernel are little-endian. */
static void put_number(uint8_t *at, size_t size, const struct json *value, const char *what) {
  uint64_t number = number_of(value, what);
  uint64_t beyond = size < 8 ? number >> (8 * size) : 0;
  bool is_low_negative = size < 8 && number >> (8 * size - 1) == UINT64_MAX >> (8 * size - 1);
  if (beyond != 0 && !is_low_negative) refuse("%s has more than %zu bytes", what, size);
  memcpy(at, &number, size);
}

static uint64_t get_number(const uint8_t *at, size_t size) {
  uint64_t number = 0;
  memcpy(&number, at, size);
  return number;
}

static struct data list_data(const struct json *form, const struct json *list, size_t size) {
  if (list->kind != JSON_ARRAY) refuse("\"%s\" is no list", list->key);
  struct data data = new_data(form, list->count * size);
  uint8_t *at = data.bytes;
  for (const struct json *e = list->first; e != NULL; e = e->next, at += size)
    put_number(at, size, e, list->key);
  return data;
}

static void put_structure(uint8_t *bytes, const struct layout *layout, const struct json *fields);

static struct data structure_data(const struct json *form, const struct json *value,
                                  const struct layout *layout) {
  size_t count = value->kind == JSON_ARRAY ? value->count : 1;
  struct data data = new_data(form, count * layout->size);
  data.target = layout;
  const struct json *one = value->kind == JSON_ARRAY ? value->first : value;
  for (size_t i = 0; i < count; i++, one = one->next)
    put_structure(data.bytes + i * layout->size, layout, one);
  return data;
}

static size_t element_size(const char *key) {
  if (strcmp(key, "u8") == 0) return 1;
  if (strcmp(key, "u32") == 0) return 4;
  return strcmp(key, "u64") == 0 ? 8 : 0;
}

struct data data_of(const struct json *form, const struct layout *target, const char *what) {
  if (form->kind == JSON_STRING) return hex_data(form, text_of(form, what));
  if (form->kind == JSON_ARRAY) {
    if (target == NULL) refuse("%s: what the list is of must be said", what);
    return structure_data(form, form, target);
  }
  if (form->kind != JSON_OBJECT || form->count != 1) refuse("%s is no data", what);
  const struct json *value = form->first;
  const struct layout *named = find_layout(value->key);
  if (named != NULL) return structure_data(form, value, named);
  if (element_size(value->key) != 0) return list_data(form, value, element_size(value->key));
  if (strcmp(value->key, "hex") == 0) return hex_data(form, text_of(value, "hex"));
  if (strcmp(value->key, "zero") == 0) return new_data(form, (size_t)number_of(value, "zero"));
  if (strcmp(value->key, "text") != 0) refuse("%s: \"%s\" is no kind of data", what, value->key);
  text_of(value, "text");
  struct data data = new_data(form, value->length);
  memcpy(data.bytes, value->text, value->length);
  return data;
}

static void answer_structures(const char *key, const struct data *data, bool is_list) {
  size_t count = data->length / data->target->size;
  if (is_list) answer_open(key, '[');
  for (size_t i = 0; i < count; i++) {
    answer_open(is_list ? NULL : key, '{');
    for (size_t f = 0; f < data->target->count; f++)
      answer_field(&data->target->fields[f], data->bytes + i * data->target->size);
    answer_close('}');
  }
  if (is_list) answer_close(']');
}

void answer_data(const char *key, const struct data *data) {
  const struct json *form = data->form;
  if (form->kind == JSON_ARRAY) {
    answer_structures(key, data, true);
    return;
  }
  const char *name = form->kind == JSON_OBJECT ? form->first->key : "hex";
  size_t size = element_size(name);
  answer_open(key, '{');
  if (data->target != NULL) {
    answer_structures(name, data, form->first->kind == JSON_ARRAY);
  } else if (size != 0) {
    answer_open(name, '[');
    for (size_t i = 0; i < data->length; i += size) {
      uint64_t number = get_number(data->bytes + i, size);
      if (size == 8)
        answer_u64(NULL, number);
      else
        answer_number(NULL, (int64_t)number);
    }
    answer_close(']');
  } else {
    answer_hex("hex", data->bytes, data->length);
  }
  answer_close('}');
}

void answer_field(const struct field *field, const uint8_t *structure) {
  const uint8_t *at = structure + field->offset;
  if (field->count > 1) answer_open(field->name, '[');
  for (size_t i = 0; i < field->count; i++) {
    const char *key = field->count > 1 ? NULL : field->name;
    uint64_t number = get_number(at + i * field->size, field->size);
    if (field->size == 8)
      answer_u64(key, number);
    else
      answer_number(key, field->kind == FIELD_DESCRIPTOR ? (int32_t)number : (int64_t)number);
  }
  if (field->count > 1) answer_close(']');
}

static const struct field *known_field(const struct layout *layout, const char *name) {
  const struct field *field = find_field(layout, name);
  if (field == NULL) refuse("struct %s has no %s", layout->name, name);
  return field;
}

static void put_field(uint8_t *structure, const struct field *field, const struct json *value) {
  uint8_t *at = structure + field->offset;
  if (field->count == 1) {
    put_number(at, field->size, value, field->name);
    return;
  }
  if (value->kind != JSON_ARRAY || value->count > field->count)
    refuse("%s is no list of %zu numbers at most", field->name, field->count);
  for (const struct json *e = value->first; e != NULL; e = e->next, at += field->size)
    put_number(at, field->size, e, field->name);
}

static void put_structure(uint8_t *bytes, const struct layout *layout, const struct json *fields) {
  if (fields->kind != JSON_OBJECT) refuse("struct %s is no object", layout->name);
  for (const struct json *m = fields->first; m != NULL; m = m->next)
    put_field(bytes, known_field(layout, m->key), m);
}

/* A memory whose file is wanted, where otherwise its address would be meant. */
static bool put_memory_file(uint8_t *at, const struct field *field, const struct json *value) {
  if (field->kind != FIELD_DESCRIPTOR || value->kind != JSON_STRING) return false;
  const struct memory *memory = find_memory(value->text);
  if (memory == NULL) return false;
  int32_t descriptor = memory->descriptor;
  memcpy(at, &descriptor, sizeof descriptor);
  return true;
}

static const struct inline_data *put_inline(struct filled *filled, const struct field *field,
                                            const struct json *value) {
  struct inline_data *inlined = take(sizeof *inlined);
  inlined->field = field;
  inlined->data = data_of(value, field->target, field->name);
  inlined->next = filled->inlined;
  uint64_t address = (uintptr_t)inlined->data.bytes;
  memcpy(filled->bytes + field->offset, &address, field->size);
  return inlined;
}

/* A call reads as many bytes as it is told the structure has: those behind what was written are 0. */
static void make_room(struct filled *filled) {
  uint32_t size;
  memcpy(&size, filled->bytes, sizeof size);
  if (size <= filled->length) return;
  if (size > MAX_LENGTH) refuse("%u bytes are more than %u", size, MAX_LENGTH);
  uint8_t *bytes = take(size);
  memcpy(bytes, filled->bytes, filled->length);
  filled->bytes = bytes;
  filled->length = size;
  filled->rest.bytes = bytes + filled->layout->size;
}

struct filled fill(const struct layout *layout, const struct json *fields, uint32_t operation) {
  struct filled filled = {layout, NULL, layout->size, {NULL, 0, NULL, NULL}, NULL};
  const struct json *rest = fields == NULL ? NULL : member(fields, layout->rest);
  if (fields != NULL && fields->kind != JSON_OBJECT) refuse("args is no object");
  if (rest != NULL) filled.rest = data_of(rest, layout->rest_target, layout->rest);
  filled.length += filled.rest.length;
  filled.bytes = take(filled.length);
  if (rest != NULL) memcpy(filled.bytes + layout->size, filled.rest.bytes, filled.rest.length);
  filled.rest.bytes = filled.bytes + layout->size;
  uint32_t size = (uint32_t)filled.length;
  memcpy(filled.bytes, &size, sizeof size);
  if (operation != 0) memcpy(filled.bytes + sizeof size, &operation, sizeof operation);
  for (const struct json *m = fields == NULL ? NULL : fields->first; m != NULL; m = m->next) {
    if (m == rest) continue;
    const struct field *field = known_field(layout, m->key);
    if (field->kind == FIELD_POINTER && (m->kind == JSON_OBJECT || m->kind == JSON_ARRAY))
      filled.inlined = put_inline(&filled, field, m);
    else if (!put_memory_file(filled.bytes + field->offset, field, m))
      put_field(filled.bytes, field, m);
  }
  make_room(&filled);
  return filled;
}

static const struct inline_data *inlined_at(const struct filled *filled, const struct field *field) {
  const struct inline_data *inlined = filled->inlined;
  while (inlined != NULL && inlined->field != field) inlined = inlined->next;
  return inlined;
}

void answer_changes(const struct filled *after, const uint8_t *before, bool well) {
  for (size_t i = 0; i < after->layout->count; i++) {
    const struct field *field = &after->layout->fields[i];
    const struct inline_data *inlined = inlined_at(after, field);
    size_t length = field->size * field->count;
    bool changed = memcmp(after->bytes + field->offset, before + field->offset, length) != 0;
    if (inlined != NULL) {
      if (well) answer_data(field->name, &inlined->data);
    } else if (strncmp(field->name, "in_", 3) != 0 &&
               (changed || (well && strncmp(field->name, "out_", 4) == 0))) {
      answer_field(field, after->bytes);
    }
  }
  if (well && after->rest.form != NULL) answer_data(after->layout->rest, &after->rest);
}

/* Where "field" or "field.field" lies; the second one is of the first structure in inline data. */
static const struct field *field_at(const struct filled *filled, const char *path,
                                    const uint8_t **structure) {
  *structure = filled->bytes;
  const struct field *field = find_field(filled->layout, path);
  const char *dot = strchr(path, '.');
  if (field != NULL || dot == NULL) return field;
  for (const struct inline_data *i = filled->inlined; i != NULL; i = i->next) {
    size_t length = strlen(i->field->name);
    if (length != (size_t)(dot - path) || strncmp(i->field->name, path, length) != 0) continue;
    if (i->data.target == NULL || i->data.length == 0) return NULL;
    *structure = i->data.bytes;
    return find_field(i->data.target, dot + 1);
  }
  return NULL;
}

bool has_value(const struct filled *filled, const char *path) {
  const uint8_t *structure;
  return field_at(filled, path, &structure) != NULL;
}

uint64_t value_at(const struct filled *filled, const char *path) {
  const uint8_t *structure;
  const struct field *field = field_at(filled, path, &structure);
  return get_number(structure + field->offset, field->size);
}
