/* dma: makes the trivial engine move bytes. Its registers are those of src/hardware/devices/spec/engine-registers.ts. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "data.h"
#include "line.h"
#include "operations.h"

enum { ADDRESS = 0x08, LENGTH = 0x10, PASID = 0x14, COMMAND = 0x18, STATUS = 0x1c, PATTERN = 0x20 };
enum { TRANSLATION = 0x28, RESPONSE = 0x30, BUFFER = 0x800, BUFFER_SIZE = 0x800 };
enum { READ = 1, WRITE = 2, FILL = 3, TRANSLATE = 4, REQUEST_PAGE = 5, RELEASE = 6, STOP_MARKER = 7 };

#define PASID_TAGGED (1u << 31)
#define STATUS_BUSY (1u << 0)
#define STATUS_ERROR (1u << 2)
#define STATUS_HELD (1u << 3)
#define RESPONSE_VALID (1u << 31)

/* Bits of COMMAND that a script sets by name. */
static const struct {
  const char *name;
  uint32_t bit;
} flags[] = {
    {"privileged", 1u << 8},  {"execute", 1u << 9}, {"writable", 1u << 10},
    {"translated", 1u << 11}, {"hold", 1u << 12},   {"interrupt", 1u << 13},
    {"last", 1u << 14},
};

/* PCI: memory space and bus master enable. */
#define PCI_COMMAND 4
#define PCI_COMMAND_ENABLES 6

/* What a device answers when it is gone or does not decode. */
#define NOTHING 0xffffffffu

static int access_window(struct file *file, uint32_t offset, void *bytes, size_t length,
                         bool is_write) {
  struct window *w = &file->window;
  if (w->mapping != NULL)
    return is_write ? copy_guarded((void *)(w->mapping + offset), bytes, length)
                    : copy_guarded(bytes, w->mapping + offset, length);
  off64_t place = (off64_t)(w->offset + offset);
  ssize_t done = is_write ? pwrite64(file->descriptor, bytes, length, place)
                          : pread64(file->descriptor, bytes, length, place);
  return done == (ssize_t)length ? 0 : done < 0 ? errno : EIO;
}

static int put32(struct file *file, uint32_t offset, uint32_t value) {
  return access_window(file, offset, &value, sizeof value, true);
}

static int get32(struct file *file, uint32_t offset, uint32_t *value) {
  return access_window(file, offset, value, sizeof *value, false);
}

/* Lets the device answer and make requests: VFIO gives it out with both switched off. */
static int enable(const struct file *file) {
  struct vfio_region_info config = {.argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX};
  uint16_t command;
  if (ioctl(file->descriptor, VFIO_DEVICE_GET_REGION_INFO, &config) != 0) return errno;
  off64_t place = (off64_t)(config.offset + PCI_COMMAND);
  if (pread64(file->descriptor, &command, sizeof command, place) != sizeof command) return EIO;
  command |= PCI_COMMAND_ENABLES;
  return pwrite64(file->descriptor, &command, sizeof command, place) == sizeof command ? 0 : EIO;
}

/* Opens the window on the device's registers, the first time it is wanted. */
static int open_window(struct file *file) {
  struct vfio_region_info bar = {.argsz = sizeof bar, .index = VFIO_PCI_BAR0_REGION_INDEX};
  if (file->window.length != 0) return 0;
  if (ioctl(file->descriptor, VFIO_DEVICE_GET_REGION_INFO, &bar) != 0) return errno;
  if (bar.size < BUFFER + BUFFER_SIZE) return ENODEV;
  int error = enable(file);
  if (error != 0) return error;
  file->window.offset = bar.offset;
  file->window.length = (size_t)bar.size;
  if ((bar.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0) return 0;
  void *mapping = mmap(NULL, (size_t)bar.size, PROT_READ | PROT_WRITE, MAP_SHARED,
                       file->descriptor, (off_t)bar.offset);
  file->window.mapping = mapping == MAP_FAILED ? NULL : mapping;
  return 0;
}

/* Waits until the command is over. Returns an errno, or 0; the engine may be busy still. */
static int wait_for_end(struct file *file, uint64_t milliseconds, uint32_t *status) {
  struct timespec began, now;
  clock_gettime(CLOCK_MONOTONIC, &began);
  for (;;) {
    int error = get32(file, STATUS, status);
    if (error == 0 && *status == NOTHING) error = EIO;
    if (error != 0 || (*status & STATUS_BUSY) == 0) return error;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t passed = (int64_t)(now.tv_sec - began.tv_sec) * 1000 +
                     (now.tv_nsec - began.tv_nsec) / 1000000;
    if (passed >= (int64_t)milliseconds) return 0;
    usleep(1000);
  }
}

/* One command as a script describes it. */
struct command {
  const struct json *line;
  uint32_t operation, bits;
  uint64_t address, milliseconds;
  const struct json *pasid;
};

static struct command command_of(const struct json *line) {
  struct command c = {.line = line, .pasid = member(line, "pasid")};
  static const char *const operations[] = {"", "read", "write", "fill", "translate", "request",
                                           "release", "stop"};
  for (uint32_t i = 1; i < sizeof operations / sizeof operations[0]; i++) {
    if (member(line, operations[i]) == NULL) continue;
    /* What a release lets go may be read with it. */
    if (c.operation != 0 && i != RELEASE) refuse("dma: more than one thing to do");
    c.operation = i;
  }
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
    if (flag_member(line, flags[i].name)) c.bits |= flags[i].bit;
  uint64_t group = number_member(line, "group", 0);
  if (group > 0x1ff) refuse("dma: a group has 9 bits");
  c.bits |= (uint32_t)group << 16;
  c.address = number_member(line, "iova", 0);
  c.milliseconds = number_member(line, "ms", c.operation == REQUEST_PAGE ? 0 : 1000);
  if (c.milliseconds > MAX_WAIT) refuse("dma: ms is more than an hour");
  if (c.pasid != NULL && c.pasid->kind != JSON_NULL && number_of(c.pasid, "pasid") > 0xfffff)
    refuse("dma: a PASID has 20 bits");
  return c;
}

/* Starts a command on `length` bytes and waits for its end. */
static int perform(struct file *file, const struct command *c, uint64_t address, uint32_t length,
                   uint32_t *status) {
  bool tagged = c->pasid != NULL && c->pasid->kind != JSON_NULL;
  uint32_t pasid = tagged ? (uint32_t)number_of(c->pasid, "pasid") | PASID_TAGGED : 0;
  int error = get32(file, STATUS, status);
  if (error == 0 && *status == NOTHING) error = EIO;
  if (error == 0 && (*status & STATUS_BUSY) != 0) error = EBUSY;
  if (error == 0) error = put32(file, ADDRESS, (uint32_t)address);
  if (error == 0) error = put32(file, ADDRESS + 4, (uint32_t)(address >> 32));
  if (error == 0) error = put32(file, LENGTH, length);
  if (error == 0) error = put32(file, PASID, pasid);
  if (error == 0) error = put32(file, COMMAND, c->operation | c->bits);
  return error != 0 ? error : wait_for_end(file, c->milliseconds, status);
}

/* {"fault":{"code":..,"done":..}}: what the engine says, and how many bytes went before. */
static void answer_fault(uint32_t status, size_t done) {
  answer_open("fault", '{');
  answer_number("code", status >> 8 & 0xff);
  answer_number("done", (int64_t)done);
  answer_close('}');
}

static void answer_status(uint32_t status) {
  answer_bool("ok", true);
  if ((status & STATUS_BUSY) != 0) answer_bool("busy", true);
  if ((status & STATUS_HELD) != 0) answer_bool("held", true);
}

/* Moves bytes to or from the engine's buffer, as many at a time as it has room for. */
static void move(struct file *file, const struct command *c, uint8_t *bytes, size_t length) {
  uint32_t status = 0;
  size_t done = 0;
  do {
    /* The buffer is copied in whole words. */
    uint32_t words[BUFFER_SIZE / 4] = {0};
    size_t count = length - done < BUFFER_SIZE ? length - done : BUFFER_SIZE;
    size_t whole = (count + 3) & ~(size_t)3;
    int error = 0;
    if (c->operation == WRITE) {
      memcpy(words, bytes + done, count);
      error = access_window(file, BUFFER, words, whole, true);
    }
    if (error == 0) error = perform(file, c, c->address + done, (uint32_t)count, &status);
    if (error == 0 && (status & STATUS_ERROR) != 0) {
      answer_fault(status, done);
      return;
    }
    if (error == 0 && c->operation == READ) error = access_window(file, BUFFER, words, whole, false);
    if (error != 0) {
      answer_outcome(error);
      return;
    }
    if (c->operation == READ) memcpy(bytes + done, words, count);
    done += count;
  } while (done < length);
  answer_status(status);
  if (c->operation == READ && (status & (STATUS_HELD | STATUS_BUSY)) == 0)
    answer_hex("bytes", bytes, length);
}

static int answer_translation(struct file *file) {
  uint32_t low, high;
  int error = get32(file, TRANSLATION, &low);
  if (error == 0) error = get32(file, TRANSLATION + 4, &high);
  if (error != 0) return error;
  answer_open("out", '{');
  answer_bool("read", (low & 1) != 0);
  answer_bool("write", (low & 2) != 0);
  answer_bool("execute", (low & 4) != 0);
  answer_number("sizeLg2", low >> 4 & 0x7f);
  answer_u64("address", ((uint64_t)high << 32 | low) & ~(uint64_t)0xfff);
  answer_close('}');
  return 0;
}

static int answer_response(struct file *file) {
  uint32_t response;
  int error = get32(file, RESPONSE, &response);
  if (error != 0 || (response & RESPONSE_VALID) == 0) return error;
  answer_open("response", '{');
  answer_number("code", response & 15);
  answer_number("group", response >> 16 & 0x1ff);
  answer_close('}');
  return 0;
}

/* What moves no bytes of the buffer: fill, translate, request, stop, and status, which does nothing but wait. */
static void command_without_bytes(struct file *file, const struct command *c, uint32_t length) {
  uint32_t status;
  size_t nothing = answer_mark();
  int error = c->operation == 0 ? wait_for_end(file, c->milliseconds, &status)
                                : perform(file, c, c->address, length, &status);
  if (error == 0 && (status & STATUS_ERROR) != 0) {
    answer_fault(status, 0);
    return;
  }
  if (error == 0) {
    answer_status(status);
    if (c->operation == TRANSLATE) error = answer_translation(file);
    if (c->operation == 0 || c->operation == REQUEST_PAGE) error = answer_response(file);
  }
  if (error != 0) {
    answer_rewind(nothing);
    answer_outcome(error);
  }
}

/* Lets a held transfer go, and reads what it fetched where "read" says how much that was. */
static void release(struct file *file, const struct command *c) {
  uint64_t length = number_member(c->line, "read", 0);
  uint32_t words[BUFFER_SIZE / 4], status;
  if (length > BUFFER_SIZE) refuse("dma: the buffer has %u bytes", BUFFER_SIZE);
  int error = perform(file, c, 0, 0, &status);
  if (error == 0 && (status & STATUS_ERROR) != 0) {
    answer_fault(status, 0);
    return;
  }
  if (error == 0) error = access_window(file, BUFFER, words, sizeof words, false);
  if (error != 0) {
    answer_outcome(error);
    return;
  }
  answer_status(status);
  if (length != 0) answer_hex("bytes", words, (size_t)length);
}

static void fill_memory(struct file *file, const struct command *c) {
  uint64_t pattern = number_member(c->line, "fill", 0);
  uint64_t length = number_member(c->line, "length", 0);
  if (pattern > 0xff || length > UINT32_MAX) refuse("dma: fill is one byte, length has 32 bits");
  int error = put32(file, PATTERN, (uint32_t)pattern);
  if (error != 0)
    answer_outcome(error);
  else
    command_without_bytes(file, c, (uint32_t)length);
}

void operation_dma(const struct json *line) {
  only_members(line, "dma");
  const struct json *dma = member(line, "dma");
  if (dma->kind != JSON_OBJECT) refuse("dma is no object");
  only_members(dma, "dev pasid iova write read fill length translate request release stop status "
                    "privileged execute writable translated hold interrupt last group ms");
  char device[16];
  if (normal_device(text_of(member(dma, "dev"), "dev"), device) != 0) refuse("dma: no device");
  struct file *file = find_device(device);
  if (file == NULL) refuse("dma: %s is not open", device);
  struct command c = command_of(dma);
  if (c.operation == 0 && !flag_member(dma, "status")) refuse("dma: nothing to do");
  struct data data = {NULL, 0, NULL, NULL};
  if (c.operation == WRITE) data = data_of(member(dma, "write"), NULL, "write");
  if (c.operation == READ) {
    uint64_t length = number_member(dma, "read", 0);
    if (length > MAX_LENGTH) refuse("dma: more than %u bytes", MAX_LENGTH);
    data.length = (size_t)length;
    data.bytes = take(data.length);
  }
  int error = open_window(file);
  if (error != 0)
    answer_outcome(error);
  else if (c.operation == READ || c.operation == WRITE)
    move(file, &c, data.bytes, data.length);
  else if (c.operation == RELEASE)
    release(file, &c);
  else if (c.operation == FILL)
    fill_memory(file, &c);
  else
    command_without_bytes(file, &c, 0);
}
