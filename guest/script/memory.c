/* Client memory: where it lies, what it is made of, and its bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "answer.h"
#include "data.h"
#include "line.h"
#include "operations.h"

/*
 * Addresses decide how the kernel aligns mappings it places itself, so every
 * run has the same: the first memory lies here, and each further one at the
 * next multiple of 2 MiB that leaves 2 MiB free behind the one before.
 */
#define FIRST_PLACE 0x20000000u
#define LAST_PLACE 0xa0000000u
#define PLACE_ALIGNMENT 0x200000u

static uint64_t next_place = FIRST_PLACE;

void forget_places(void) { next_place = FIRST_PLACE; }

static uint64_t new_place(uint64_t length) {
  uint64_t place = next_place;
  if (length > LAST_PLACE - place) return 0;
  next_place = (place + length + 2 * PLACE_ALIGNMENT - 1) & ~(uint64_t)(PLACE_ALIGNMENT - 1);
  return place;
}

/* How a kind of memory is mapped. */
struct kind {
  const char *name;
  int map_flags;
  /* Whether it is a file in memory, and of which pages. */
  bool is_file;
  unsigned file_flags;
  int advice;
};

static const struct kind kinds[] = {
    {"private", MAP_PRIVATE | MAP_ANONYMOUS, false, 0, 0},
    {"shared", MAP_SHARED | MAP_ANONYMOUS, false, 0, 0},
    {"memfd", MAP_SHARED, true, MFD_CLOEXEC, 0},
    {"hugetlb", MAP_SHARED, true, MFD_CLOEXEC | MFD_HUGETLB, 0},
    {"thp", MAP_PRIVATE | MAP_ANONYMOUS, false, 0, MADV_HUGEPAGE},
};

static const struct kind *kind_of(const struct json *line) {
  const struct json *value = member(line, "kind");
  const char *name = value == NULL ? "private" : text_of(value, "kind");
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
  refuse("kind: \"%s\" is none of private, shared, memfd, hugetlb, thp", name);
}

static int protection_of(const struct json *line) {
  const struct json *value = member(line, "prot");
  const char *text = value == NULL ? "rw" : text_of(value, "prot");
  if (strcmp(text, "none") == 0) return PROT_NONE;
  if (text[0] == 0 || strspn(text, "rwx") != strlen(text)) refuse("prot: \"%s\"", text);
  return (strchr(text, 'r') != NULL ? PROT_READ : 0) |
         (strchr(text, 'w') != NULL ? PROT_WRITE : 0) | (strchr(text, 'x') != NULL ? PROT_EXEC : 0);
}

/* Maps `length` bytes of a file, or of none, at a place of their own. Returns an errno, or 0. */
static int map(struct memory *memory, uint64_t length, int protection, int flags, int descriptor,
               uint64_t offset) {
  uint64_t place = new_place(length);
  if (place == 0) return ENOMEM;
  void *at = mmap((void *)(uintptr_t)place, length, protection, flags | MAP_FIXED_NOREPLACE,
                  descriptor, (off_t)offset);
  if (at == MAP_FAILED) return errno;
  memory->address = place;
  memory->length = length;
  return 0;
}

static int map_kind(struct memory *memory, const struct kind *kind, uint64_t length,
                    int protection) {
  if (kind->is_file) {
    memory->descriptor = memfd_create(memory->name, kind->file_flags);
    if (memory->descriptor < 0 || ftruncate(memory->descriptor, (off_t)length) != 0) return errno;
  }
  int error = map(memory, length, protection, kind->map_flags, memory->descriptor, 0);
  if (error == 0 && kind->advice != 0)
    error = madvise((void *)(uintptr_t)memory->address, length, kind->advice) == 0 ? 0 : errno;
  return error;
}

void operation_mem(const struct json *line) {
  only_members(line, "mem length kind prot file offset private");
  const struct kind *kind = kind_of(line);
  int protection = protection_of(line);
  uint64_t length = number_member(line, "length", 0);
  const struct file *file = member(line, "file") == NULL ? NULL : file_member(line, "file");
  uint64_t offset = number_member(line, "offset", 0);
  bool is_private = flag_member(line, "private");
  struct memory *memory = name_memory(text_of(member(line, "mem"), "mem"));
  int error = file == NULL ? map_kind(memory, kind, length, protection)
                           : map(memory, length, protection, is_private ? MAP_PRIVATE : MAP_SHARED,
                                 file->descriptor, offset);
  answer_outcome(error);
  if (error == 0)
    answer_u64("address", memory->address);
  else
    forget_memory(memory);
}

static struct memory *named_memory(const struct json *line, const char *key) {
  const char *name = text_of(member(line, key), key);
  struct memory *memory = find_memory(name);
  if (memory == NULL) refuse("%s: no memory is called %s", key, name);
  return memory;
}

void operation_free(const struct json *line) {
  only_members(line, "free");
  forget_memory(named_memory(line, "free"));
  answer_outcome(0);
}

void operation_protect(const struct json *line) {
  only_members(line, "protect length prot");
  uint64_t address = number_of(member(line, "protect"), "protect");
  uint64_t length = number_member(line, "length", 0);
  void *at = (void *)(uintptr_t)address;
  answer_outcome(mprotect(at, length, protection_of(line)) == 0 ? 0 : errno);
}

void operation_peek(const struct json *line) {
  only_members(line, "peek read");
  uint64_t address = number_of(member(line, "peek"), "peek");
  uint64_t length = number_member(line, "read", 8);
  if (length > MAX_LENGTH) refuse("read: more than %u bytes", MAX_LENGTH);
  void *bytes = take((size_t)length);
  int error = copy_guarded(bytes, (const void *)(uintptr_t)address, (size_t)length);
  answer_outcome(error);
  if (error == 0) answer_hex("bytes", bytes, (size_t)length);
}

void operation_poke(const struct json *line) {
  only_members(line, "poke write");
  const struct json *write = member(line, "write");
  if (write == NULL) refuse("poke: what to write is missing");
  struct data data = data_of(write, NULL, "write");
  uint64_t address = number_of(member(line, "poke"), "poke");
  answer_outcome(copy_guarded((void *)(uintptr_t)address, data.bytes, data.length));
}
