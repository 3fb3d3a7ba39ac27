/* Files: opened, closed, read, written and waited for. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "answer.h"
#include "data.h"
#include "line.h"
#include "operations.h"

void open_iommu(void) {
  name_file("iommu")->descriptor = open("/dev/iommu", O_RDWR | O_CLOEXEC);
}

static int flags_of(const struct json *line) {
  const struct json *value = member(line, "mode");
  const char *mode = value == NULL ? "rw" : text_of(value, "mode");
  if (strcmp(mode, "r") == 0) return O_RDONLY;
  if (strcmp(mode, "w") == 0) return O_WRONLY;
  if (strcmp(mode, "rw") == 0) return O_RDWR;
  refuse("mode: \"%s\" is none of r, w, rw", mode);
}

/* The path that a name stands for; `device` is set where it is a device's. Returns an errno, or 0. */
static int path_of(const char *name, char *path, size_t room, char device[16]) {
  const char *group = strncmp(name, "group:", 6) == 0 ? name + 6 : NULL;
  if (name[0] == '/' || strcmp(name, "iommu") == 0 || strcmp(name, "container") == 0) {
    const char *known = strcmp(name, "iommu") == 0 ? "/dev/iommu" : "/dev/vfio/vfio";
    snprintf(path, room, "%s", name[0] == '/' ? name : known);
    return 0;
  }
  char group_device[16];
  if (normal_device(group == NULL ? name : group, group == NULL ? device : group_device) != 0)
    refuse("open: \"%s\" is no device, path, group:DEVICE, container or iommu", name);
  return group == NULL ? device_path(device, path, room) : group_path(group_device, path, room);
}

void operation_open(const struct json *line) {
  only_members(line, "open as mode");
  char path[512], device[16] = "";
  const char *name = text_of(member(line, "open"), "open");
  const char *as = text_of(member(line, "as"), "as");
  int flags = flags_of(line);
  check_free(as);
  int error = path_of(name, path, sizeof path, device);
  struct file *file = name_file(as);
  if (error == 0) {
    file->descriptor = open(path, flags | O_CLOEXEC);
    error = file->descriptor < 0 ? errno : 0;
  }
  strcpy(file->device, device);
  answer_outcome(error);
}

void operation_close(const struct json *line) {
  only_members(line, "close");
  answer_outcome(close_file(file_member(line, "close")));
}

void operation_eventfd(const struct json *line) {
  only_members(line, "eventfd");
  struct file *file = name_file(text_of(member(line, "eventfd"), "eventfd"));
  file->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  answer_outcome(file->descriptor < 0 ? errno : 0);
}

/* The layout that "struct" names; NULL where there is no such member. */
static const struct layout *layout_member(const struct json *line) {
  const struct json *value = member(line, "struct");
  if (value == NULL) return NULL;
  const struct layout *layout = find_layout(text_of(value, "struct"));
  if (layout == NULL) refuse("no structure is called %s here", value->text);
  return layout;
}

static void answer_records(const struct layout *layout, const uint8_t *bytes, size_t length) {
  answer_open("out", '[');
  for (size_t at = 0; at + layout->size <= length; at += layout->size) {
    answer_open(NULL, '{');
    for (size_t i = 0; i < layout->count; i++) answer_field(&layout->fields[i], bytes + at);
    answer_close('}');
  }
  answer_close(']');
}

static void check_fields(const struct json *bind, const struct layout *layout) {
  if (bind != NULL && bind->kind != JSON_OBJECT) refuse("bind is no object");
  for (const struct json *m = bind == NULL ? NULL : bind->first; m != NULL; m = m->next) {
    const char *name = text_of(m, "bind");
    if (layout == NULL || find_field(layout, m->key) == NULL || name[0] != '$')
      refuse("bind: there is no %s to keep as %s", m->key, name);
    check_name(name + 1);
  }
}

/* "bind" of fields in the first record; 0 where none was read. */
static void keep_fields(const struct json *bind, const struct layout *layout, const uint8_t *bytes,
                        size_t length) {
  for (const struct json *m = bind == NULL ? NULL : bind->first; m != NULL; m = m->next) {
    const struct field *field = find_field(layout, m->key);
    const char *name = m->text;
    uint64_t value = 0;
    if (length >= layout->size) memcpy(&value, bytes + field->offset, field->size);
    set_variable(name + 1, value);
  }
}

void operation_read(const struct json *line) {
  only_members(line, "read length offset struct count bind");
  const struct file *file = file_member(line, "read");
  const struct layout *layout = layout_member(line);
  uint64_t count = number_member(line, "count", 1);
  if (count > MAX_LENGTH) refuse("count: more than %u", MAX_LENGTH);
  uint64_t length = number_member(line, "length", layout == NULL ? 8 : layout->size * count);
  if (length > MAX_LENGTH) refuse("length: more than %u bytes", MAX_LENGTH);
  const struct json *offset = member(line, "offset"), *bind = member(line, "bind");
  check_fields(bind, layout);
  uint8_t *bytes = take((size_t)length);
  uint64_t place = offset == NULL ? 0 : number_of(offset, "offset");
  ssize_t done = offset == NULL ? read(file->descriptor, bytes, (size_t)length)
                                : pread64(file->descriptor, bytes, (size_t)length, (off64_t)place);
  answer_outcome(done < 0 ? errno : 0);
  if (done >= 0) answer_hex("bytes", bytes, (size_t)done);
  if (done >= 0 && layout != NULL) answer_records(layout, bytes, (size_t)done);
  keep_fields(bind, layout, bytes, done < 0 ? 0 : (size_t)done);
}

void operation_write(const struct json *line) {
  only_members(line, "write data offset");
  const struct file *file = file_member(line, "write");
  const struct json *value = member(line, "data"), *offset = member(line, "offset");
  if (value == NULL) refuse("write: data is missing");
  struct data data = data_of(value, NULL, "data");
  uint64_t place = offset == NULL ? 0 : number_of(offset, "offset");
  ssize_t done = offset == NULL
                     ? write(file->descriptor, data.bytes, data.length)
                     : pwrite64(file->descriptor, data.bytes, data.length, (off64_t)place);
  answer_outcome(done < 0 ? errno : 0);
  if (done >= 0) answer_number("count", done);
}

/* Whether a file counts events, which reading takes out of it. */
static bool is_eventfd(int descriptor) {
  char link[32], target[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) return false;
  target[length] = 0;
  return strcmp(target, "anon_inode:[eventfd]") == 0;
}

void operation_wait(const struct json *line) {
  only_members(line, "wait ms");
  const struct file *file = file_member(line, "wait");
  uint64_t milliseconds = number_member(line, "ms", 1000);
  if (milliseconds > MAX_WAIT) refuse("ms: more than an hour");
  struct pollfd poll_of = {.fd = file->descriptor, .events = POLLIN};
  if (file->descriptor < 0) {
    answer_outcome(EBADF);
    return;
  }
  int ready = poll(&poll_of, 1, (int)milliseconds);
  int error = ready < 0 ? errno : ready == 0 ? ETIMEDOUT : 0;
  uint64_t count = 0;
  if (error == 0 && is_eventfd(file->descriptor) &&
      read(file->descriptor, &count, sizeof count) != sizeof count)
    error = errno;
  answer_outcome(error);
  if (error == 0 && count != 0) answer_number("count", (int64_t)count);
}

void operation_file(const struct json *line) {
  only_members(line, "file read write");
  const char *path = text_of(member(line, "file"), "file");
  const struct json *text = member(line, "write");
  if (text != NULL) text_of(text, "write");
  uint64_t length = number_member(line, "read", MAX_LENGTH);
  if (length > MAX_LENGTH) refuse("read: more than %u bytes", MAX_LENGTH);
  char *bytes = text == NULL ? take((size_t)length) : NULL;
  int descriptor = open(path, (text == NULL ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
  int error = descriptor < 0 ? errno : 0;
  size_t used = 0;
  if (error == 0 && text != NULL && write(descriptor, text->text, text->length) < 0) error = errno;
  while (error == 0 && text == NULL && used < length) {
    ssize_t done = read(descriptor, bytes + used, (size_t)length - used);
    if (done < 0) error = errno;
    if (done <= 0) break;
    used += (size_t)done;
  }
  if (descriptor >= 0) close(descriptor);
  answer_outcome(error);
  if (error == 0 && text == NULL) answer_text("text", bytes, used);
}
