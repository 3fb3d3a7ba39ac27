/*
 * script: reads lines of docs/script-format.md from its standard input and answers each with one. With --serial it first
 * makes the terminal a plain line and says who it is.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#include "answer.h"
#include "line.h"
#include "operations.h"

#define SCHEMA "softiommu/script@1"
/* The longest line. */
#define MAX_LINE (4u << 20)

static void operation_reset(const struct json *line);
static void operation_schema(const struct json *line);

static const struct {
  const char *key;
  void (*perform)(const struct json *line);
} operations[] = {
    {"ioctl", operation_ioctl},     {"dma", operation_dma},         {"mem", operation_mem},
    {"free", operation_free},       {"protect", operation_protect}, {"peek", operation_peek},
    {"poke", operation_poke},       {"open", operation_open},       {"close", operation_close},
    {"eventfd", operation_eventfd}, {"wait", operation_wait},       {"file", operation_file},
    {"run", operation_run},         {"user", operation_user},       {"reset", operation_reset},
    {"schema", operation_schema},
    /* "read" and "write" are also what a peek, a poke and a file do. */
    {"read", operation_read},       {"write", operation_write},
};

static size_t line_number;

static void begin(void) {
  become_root();
  forget_names();
  forget_places();
  open_iommu();
}

/* Everything as it was before the first line. */
static void operation_reset(const struct json *line) {
  only_members(line, "reset");
  if (!flag_member(line, "reset")) refuse("reset is not true");
  begin();
  line_number = 0;
  answer_outcome(0);
}

static void introduce(void) {
  struct utsname kernel;
  uname(&kernel);
  answer_string("schema", SCHEMA);
  answer_string("kernel", kernel.release);
}

static void operation_schema(const struct json *line) {
  only_members(line, "schema");
  if (strcmp(text_of(member(line, "schema"), "schema"), SCHEMA) != 0)
    refuse("schema: only " SCHEMA " is spoken here");
  introduce();
}

static void perform(const struct json *line) {
  if (line->kind != JSON_OBJECT) refuse("a line is an object");
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
    if (member(line, operations[i].key) == NULL) continue;
    operations[i].perform(line);
    return;
  }
  refuse("nothing to do: none of the operations is there");
}

static void answer_refusal(void) {
  answer_begin();
  size_t length = strlen(refusal) + 48;
  char *text = malloc(length), digits[32], *digit = digits + sizeof digits;
  *--digit = 0;
  for (size_t n = line_number; digit == digits + sizeof digits - 1 || n != 0; n /= 10)
    *--digit = (char)('0' + n % 10);
  strcpy(text, "line ");
  strcat(strcat(strcat(text, digit), ": "), refusal);
  answer_string("error", text);
  answer_end();
  free(text);
}

/* An empty line and one that begins with # are answered with nothing. */
static bool is_comment(const char *text, size_t length) {
  size_t space = 0;
  while (space < length && strchr(" \t\r", text[space]) != NULL) space++;
  return space == length || text[space] == '#';
}

static void answer_line(const char *text, size_t length) {
  line_number++;
  if (is_comment(text, length)) return;
  if (setjmp(line_refused) == 0) {
    answer_begin();
    perform(parse_json(text, length));
    answer_end();
  } else {
    answer_refusal();
  }
  forget_line();
}

static void answer_long_line(void) {
  line_number++;
  strcpy(refusal, "longer than 4 MiB");
  answer_refusal();
}

/* Lines from standard input until it ends. */
static void answer_lines(void) {
  size_t room = 4096, used = 0;
  char *text = malloc(room);
  bool is_too_long = false;
  for (;;) {
    if (used == room && room < MAX_LINE) text = realloc(text, room *= 2);
    if (used == room) {
      is_too_long = true;
      used = 0;
    }
    ssize_t count = read(STDIN_FILENO, text + used, room - used);
    if (count <= 0) break;
    char *line = text, *end;
    used += (size_t)count;
    while ((end = memchr(line, '\n', used - (size_t)(line - text))) != NULL) {
      if (is_too_long)
        answer_long_line();
      else
        answer_line(line, (size_t)(end - line));
      is_too_long = false;
      line = end + 1;
    }
    used -= (size_t)(line - text);
    memmove(text, line, used);
  }
  if (used > 0 && !is_too_long) answer_line(text, used);
}

/* Ends the program where the port does not exist. */
static void make_plain(void) {
  struct termios settings;
  if (tcgetattr(STDIN_FILENO, &settings) != 0) exit(1);
  cfmakeraw(&settings);
  if (tcsetattr(STDIN_FILENO, TCSANOW, &settings) != 0) exit(1);
}

int main(int count, char **arguments) {
  bool is_serial = count > 1 && strcmp(arguments[1], "--serial") == 0;
  signal(SIGPIPE, SIG_IGN);
  install_guard();
  begin();
  if (is_serial) {
    make_plain();
    answer_begin();
    introduce();
    answer_end();
  }
  answer_lines();
  return 0;
}
