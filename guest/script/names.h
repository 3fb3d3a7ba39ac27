/* What a script has given names to: client memory, files, and results kept for later. */
#ifndef NAMES_H
#define NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"

/* A piece of the script's own memory, as a client of the kernel has it. */
struct memory {
  struct memory *next;
  const char *name;
  uint64_t address;
  uint64_t length;
  /* The file it is a mapping of; -1 where there is none. */
  int descriptor;
};

/* The window on a device's registers. */
struct window {
  volatile uint8_t *mapping; /* NULL where they are reached by reading and writing the file */
  uint64_t offset;           /* in the file */
  size_t length;
};

struct file {
  struct file *next;
  const char *name;
  /* -1 when it could not be opened, or is closed: then calls on it answer EBADF. */
  int descriptor;
  /* The device it is, "dddd:bb:dd.f"; empty for other files. */
  char device[16];
  struct window window;
};

/* The memory or file of a name; NULL where there is none. */
struct memory *find_memory(const char *name);
struct file *find_file(const char *name);
/* The file that is open for a device; NULL where there is none. */
struct file *find_device(const char *device);

/* Refuses what is no name, or taken; a closed file's name is free again. */
void check_free(const char *name);
/* Name something, after that check. */
struct memory *name_memory(const char *name);
struct file *name_file(const char *name);
void forget_memory(struct memory *memory);
/* Closes a file; its name stays. Returns an errno, or 0. */
int close_file(struct file *file);
void set_variable(const char *name, uint64_t value);

/* Closes and forgets everything. */
void forget_names(void);

/* Refuses what is no name: a letter, then letters, digits, `_`, `-` and `.`. */
void check_name(const char *name);

/* A number as scripts write it: 12, -1, true, "0x10", "$x", "a" and "f" (an address, a descriptor), each with "+0x10" behind. */
uint64_t number_of(const struct json *value, const char *what);
/* The member `key` of `object` as a number; `otherwise` where there is none. */
uint64_t number_member(const struct json *object, const char *key, uint64_t otherwise);
/* Whether the member is there and true; refuses what is no boolean. */
bool flag_member(const struct json *object, const char *key);
/* The file that "fd" or another member names; the one called iommu where there is no such member. */
struct file *file_member(const struct json *object, const char *key);

#endif
