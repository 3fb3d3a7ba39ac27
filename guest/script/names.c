#define _GNU_SOURCE
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "line.h"

struct variable {
  struct variable *next;
  const char *name;
  uint64_t value;
};

static struct memory *memories;
static struct file *files;
static struct variable *variables;

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

void check_name(const char *name) {
  bool good = is_letter(name[0]);
  for (const char *c = name; good && *c != 0; c++)
    good = is_letter(*c) || is_digit(*c) || strchr("_-.", *c) != NULL;
  if (!good) refuse("\"%s\" is no name", name);
}

struct memory *find_memory(const char *name) {
  struct memory *m = memories;
  while (m != NULL && strcmp(m->name, name) != 0) m = m->next;
  return m;
}

struct file *find_file(const char *name) {
  struct file *f = files;
  while (f != NULL && strcmp(f->name, name) != 0) f = f->next;
  return f;
}

struct file *find_device(const char *device) {
  struct file *f = files;
  while (f != NULL && (f->descriptor < 0 || strcmp(f->device, device) != 0)) f = f->next;
  return f;
}

void check_free(const char *name) {
  check_name(name);
  const struct file *file = find_file(name);
  if (find_memory(name) != NULL || (file != NULL && file->descriptor >= 0))
    refuse("%s is there already", name);
}

struct memory *name_memory(const char *name) {
  check_free(name);
  struct memory *m = calloc(1, sizeof *m);
  m->name = strdup(name);
  m->descriptor = -1;
  m->next = memories;
  memories = m;
  return m;
}

struct file *name_file(const char *name) {
  check_free(name);
  struct file *f = find_file(name);
  if (f == NULL) {
    f = calloc(1, sizeof *f);
    f->name = strdup(name);
    f->next = files;
    files = f;
  }
  f->descriptor = -1;
  f->device[0] = 0;
  return f;
}

void forget_memory(struct memory *memory) {
  struct memory **link = &memories;
  while (*link != memory) link = &(*link)->next;
  *link = memory->next;
  if (memory->length != 0) munmap((void *)(uintptr_t)memory->address, memory->length);
  if (memory->descriptor >= 0) close(memory->descriptor);
  free((void *)memory->name);
  free(memory);
}

int close_file(struct file *file) {
  if (file->descriptor < 0) return EBADF;
  if (file->window.mapping != NULL) munmap((void *)file->window.mapping, file->window.length);
  memset(&file->window, 0, sizeof file->window);
  int error = close(file->descriptor) == 0 ? 0 : errno;
  file->descriptor = -1;
  return error;
}

void set_variable(const char *name, uint64_t value) {
  struct variable *v = variables;
  check_name(name);
  while (v != NULL && strcmp(v->name, name) != 0) v = v->next;
  if (v == NULL) {
    v = calloc(1, sizeof *v);
    v->name = strdup(name);
    v->next = variables;
    variables = v;
  }
  v->value = value;
}

void forget_names(void) {
  while (files != NULL) {
    struct file *f = files;
    close_file(f);
    files = f->next;
    free((void *)f->name);
    free(f);
  }
  while (memories != NULL) forget_memory(memories);
  while (variables != NULL) {
    struct variable *v = variables;
    variables = v->next;
    free((void *)v->name);
    free(v);
  }
}

/* Digits of one base and nothing else. */
static bool digits_to(const char *text, uint64_t *number) {
  int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
  const char *digits = base == 16 ? text + 2 : text;
  char *end;
  if (strspn(digits, base == 16 ? "0123456789abcdefABCDEF" : "0123456789") != strlen(digits))
    return false;
  errno = 0;
  *number = strtoull(digits, &end, base);
  return *digits != 0 && errno == 0;
}

static bool named(const char *text, uint64_t *number) {
  if (text[0] == '$') {
    const struct variable *v = variables;
    while (v != NULL && strcmp(v->name, text + 1) != 0) v = v->next;
    if (v == NULL) refuse("nothing is kept as %s", text);
    *number = v->value;
    return true;
  }
  const struct memory *memory = find_memory(text);
  const struct file *file = find_file(text);
  if (memory != NULL)
    *number = memory->address;
  else if (file != NULL)
    *number = (uint64_t)(int64_t)file->descriptor;
  return memory != NULL || file != NULL;
}

static uint64_t number_in(const char *text, const char *what) {
  uint64_t number, offset = 0;
  if (digits_to(text, &number)) return number;
  const char *plus = strchr(text, '+');
  char *name = plus == NULL ? strdup(text) : strndup(text, (size_t)(plus - text));
  char *copy = strcpy(take(strlen(name)), name);
  free(name);
  if (plus != NULL && !digits_to(plus + 1, &offset)) refuse("%s: \"%s\" is no offset", what, plus);
  if (!digits_to(copy, &number) && !named(copy, &number))
    refuse("%s: \"%s\" is no number and no name of anything", what, copy);
  return number + offset;
}

uint64_t number_of(const struct json *value, const char *what) {
  switch (value->kind) {
    case JSON_NULL:
      return 0;
    case JSON_BOOL:
    case JSON_NUMBER:
      return value->number;
    case JSON_STRING:
      return number_in(text_of(value, what), what);
    default:
      refuse("%s is no number", what);
  }
}

uint64_t number_member(const struct json *object, const char *key, uint64_t otherwise) {
  const struct json *value = member(object, key);
  return value == NULL ? otherwise : number_of(value, key);
}

bool flag_member(const struct json *object, const char *key) {
  const struct json *value = member(object, key);
  if (value != NULL && value->kind != JSON_BOOL) refuse("%s is neither true nor false", key);
  return value != NULL && value->number == 1;
}

struct file *file_member(const struct json *object, const char *key) {
  const struct json *value = member(object, key);
  const char *name = value == NULL ? "iommu" : text_of(value, key);
  struct file *file = find_file(name);
  if (file == NULL) refuse("no file is called %s", name);
  return file;
}
