/*
 * kexec KERNEL [INITRD [COMMAND LINE]]: starts another kernel in this one's place. The kernel is a bzImage, entered by the
 * 32-bit boot protocol (Documentation/arch/x86/boot.rst); what it learns of the machine is what this one was told.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where things are put; the kernel moves itself to where it was linked for. */
enum { ENTRY = 0x90000, PARAMETERS = 0x91000, COMMAND_LINE = 0x92000, KERNEL = 0x100000, PAGE = 4096 };

/* Fields of the boot parameters. */
enum {
  E820_COUNT = 0x1e8,
  HEADER = 0x1f1,
  SETUP_SECTORS = 0x1f1,
  HEADER_LENGTH = 0x201,
  MAGIC = 0x202,
  LOADER = 0x210,
  LOAD_FLAGS = 0x211,
  CODE_START = 0x214,
  INITRD_ADDRESS = 0x218,
  INITRD_SIZE = 0x21c,
  COMMAND_LINE_ADDRESS = 0x228,
  E820 = 0x2d0,
  E820_ENTRY = 20,
};

struct bytes {
  uint8_t *at;
  size_t length;
};

_Noreturn static void fail(const char *what) {
  fprintf(stderr, "kexec: %s: %s\n", what, strerror(errno));
  exit(1);
}

static struct bytes read_file(const char *path) {
  struct stat status;
  int descriptor = open(path, O_RDONLY);
  if (descriptor < 0 || fstat(descriptor, &status) != 0) fail(path);
  struct bytes file = {malloc((size_t)status.st_size + 1), 0};
  for (ssize_t done; file.length < (size_t)status.st_size; file.length += (size_t)done) {
    done = read(descriptor, file.at + file.length, (size_t)status.st_size - file.length);
    if (done < 0) fail(path);
    if (done == 0) break;
  }
  close(descriptor);
  return file;
}

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }

static size_t pages(size_t length) { return (length + PAGE - 1) & ~(size_t)(PAGE - 1); }

/* Where the initrd goes: to the end of the RAM that the kernel lies in. */
static uint32_t initrd_place(const uint8_t *parameters, size_t length) {
  for (int i = 0; i < parameters[E820_COUNT]; i++) {
    const uint8_t *entry = parameters + E820 + i * E820_ENTRY;
    uint64_t start, size;
    uint32_t type;
    memcpy(&start, entry, 8);
    memcpy(&size, entry + 8, 8);
    memcpy(&type, entry + 16, 4);
    if (type == 1 && start <= KERNEL && start + size > KERNEL + length)
      return (uint32_t)(start + size - pages(length)) & ~(uint32_t)(PAGE - 1);
  }
  errno = ENOMEM;
  fail("initrd");
}

/* The parameters of the kernel that runs, with the header of the one that is to. */
static struct bytes new_parameters(const struct bytes *kernel, size_t initrd, uint32_t *place) {
  struct bytes old = read_file("/sys/kernel/boot_params/data");
  struct bytes new = {calloc(1, PAGE), PAGE};
  memcpy(new.at, old.at, old.length < PAGE ? old.length : PAGE);
  size_t end = MAGIC + kernel->at[HEADER_LENGTH];
  memcpy(new.at + HEADER, kernel->at + HEADER, end - HEADER);
  new.at[LOADER] = 0xff;
  new.at[LOAD_FLAGS] |= 1;
  put32(new.at + CODE_START, KERNEL);
  put32(new.at + COMMAND_LINE_ADDRESS, COMMAND_LINE);
  *place = initrd == 0 ? 0 : initrd_place(new.at, initrd);
  put32(new.at + INITRD_ADDRESS, *place);
  put32(new.at + INITRD_SIZE, (uint32_t)initrd);
  return new;
}

/* mov $PARAMETERS, %esi; mov $KERNEL, %eax; jmp *%eax: the other registers are 0 already, the segments flat. */
static struct bytes entry_code(void) {
  struct bytes code = {calloc(1, 16), 12};
  code.at[0] = 0xbe;
  put32(code.at + 1, PARAMETERS);
  code.at[5] = 0xb8;
  put32(code.at + 6, KERNEL);
  code.at[10] = 0xff;
  code.at[11] = 0xe0;
  return code;
}

static struct kexec_segment segment(const struct bytes *bytes, uint32_t place) {
  return (struct kexec_segment){bytes->at, bytes->length, (void *)(uintptr_t)place,
                                pages(bytes->length)};
}

int main(int count, char **arguments) {
  if (count < 2 || count > 4) {
    fprintf(stderr, "usage: kexec KERNEL [INITRD [COMMAND LINE]]\n");
    return 1;
  }
  struct bytes kernel = read_file(arguments[1]);
  struct bytes initrd = count > 2 ? read_file(arguments[2]) : (struct bytes){NULL, 0};
  const char *line = count > 3 ? arguments[3] : "";
  if (kernel.length < 1024 || memcmp(kernel.at + MAGIC, "HdrS", 4) != 0) {
    errno = ENOEXEC;
    fail(arguments[1]);
  }
  uint32_t place;
  struct bytes parameters = new_parameters(&kernel, initrd.length, &place);
  struct bytes code = entry_code(), text = {(uint8_t *)line, strlen(line) + 1};
  size_t setup = ((size_t)kernel.at[SETUP_SECTORS] + 1) * 512;
  struct bytes image = {kernel.at + setup, kernel.length - setup};
  struct kexec_segment segments[] = {
      segment(&code, ENTRY),  segment(&parameters, PARAMETERS), segment(&text, COMMAND_LINE),
      segment(&image, KERNEL), segment(&initrd, place),
  };
  unsigned long used = initrd.length == 0 ? 4 : 5;
  if (syscall(SYS_kexec_load, (unsigned long)ENTRY, used, segments, 0ul) != 0) fail("kexec_load");
  sync();
  reboot(RB_KEXEC);
  fail("reboot");
}
