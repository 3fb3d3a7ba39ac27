/* The structures of the kernel's interface, as tables that the compiler fills in from the kernel's own headers. */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
  FIELD_NUMBER,
  /* A signed number: a file's descriptor. */
  FIELD_DESCRIPTOR,
  /* An address, in whose place data may stand. */
  FIELD_POINTER,
};

struct layout;

struct field {
  const char *name;
  size_t offset;
  /* Bytes of one element, and how many elements there are. */
  size_t size, count;
  enum field_kind kind;
  /* Of a pointer: what a list of structures stands for. */
  const struct layout *target;
};

struct layout {
  const char *name;
  size_t size;
  const struct field *fields;
  size_t count;
  /* What follows the structure: its name in the headers, and the structure it is a list of, if any. */
  const char *rest;
  const struct layout *rest_target;
};

/* What an ioctl's argument is. */
enum argument {
  ARGUMENT_STRUCT,     /* a structure whose first field is its size */
  ARGUMENT_NONE,
  ARGUMENT_NUMBER,     /* the value itself */
  ARGUMENT_TEXT,       /* a string */
  ARGUMENT_DESCRIPTOR, /* the address of a file's descriptor */
};

struct call {
  const char *name;
  unsigned long number;
  enum argument argument;
  const struct layout *layout;
  /* Of a test operation: its number. */
  uint32_t operation;
};

struct calls {
  const struct call *rows;
  size_t count;
};

struct layouts {
  const struct layout *const *rows;
  size_t count;
};

extern const struct calls IOMMUFD_CALLS, IOMMUFD_TEST_CALLS, VFIO_CALLS;
extern const struct layouts IOMMUFD_LAYOUTS, IOMMUFD_TEST_LAYOUTS, VFIO_LAYOUTS;

/* By name in the headers; NULL where the headers have none. */
const struct call *find_call(const char *name);
const struct layout *find_layout(const char *name);
const struct field *find_field(const struct layout *layout, const char *name);

/* Rows of tables. S is a structure with its keyword, F a field of it. */
#define NUMBER(S, F) {#F, offsetof(S, F), sizeof(((S *)0)->F), 1, FIELD_NUMBER, NULL}
#define LIST(S, F)                                                                 \
  {#F, offsetof(S, F), sizeof(((S *)0)->F[0]), sizeof(((S *)0)->F) / sizeof(((S *)0)->F[0]), \
   FIELD_NUMBER, NULL}
#define DESCRIPTOR(S, F) {#F, offsetof(S, F), sizeof(((S *)0)->F), 1, FIELD_DESCRIPTOR, NULL}
#define POINTER(S, F, TARGET) {#F, offsetof(S, F), sizeof(((S *)0)->F), 1, FIELD_POINTER, TARGET}

#define LENGTH_OF(ARRAY) (sizeof(ARRAY) / sizeof((ARRAY)[0]))

#endif
