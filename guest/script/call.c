/* ioctl: its argument from a table, its answer, and what is kept of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "answer.h"
#include "data.h"
#include "layout.h"
#include "line.h"
#include "operations.h"

/* What an ioctl is given: a value, or the address of something. */
struct argument_value {
  uintptr_t value;
  /* The structure at it, and its bytes before the call; no layout where there is none. */
  struct filled filled;
  uint8_t *before;
  /* Plain bytes at it, which are answered as they were written. */
  struct data bytes;
};

static const struct call *call_of(const struct json *line, unsigned long *number) {
  const struct json *value = member(line, "ioctl");
  if (value->kind == JSON_NUMBER || (value->kind == JSON_STRING && value->text[0] == '0')) {
    *number = (unsigned long)number_of(value, "ioctl");
    return NULL;
  }
  const char *name = text_of(value, "ioctl");
  const struct call *call = find_call(name);
  if (call == NULL) refuse("no ioctl is called %s here", name);
  *number = call->number;
  return call;
}

/* null and the address of named memory are passed on as they are, whatever the call expects. */
static bool is_address(const struct json *args) {
  return args != NULL && (args->kind == JSON_NULL || args->kind == JSON_STRING ||
                          args->kind == JSON_NUMBER);
}

static struct argument_value structure_argument(const struct call *call, const struct json *args) {
  struct argument_value argument = {0};
  argument.filled = fill(call->layout, args, call->operation);
  argument.value = (uintptr_t)argument.filled.bytes;
  argument.before = take(argument.filled.length);
  memcpy(argument.before, argument.filled.bytes, argument.filled.length);
  return argument;
}

static struct argument_value argument_of(const struct call *call, const struct json *args) {
  struct argument_value argument = {0};
  if (call != NULL && call->argument == ARGUMENT_TEXT && args != NULL &&
      args->kind == JSON_STRING) {
    argument.value = (uintptr_t)text_of(args, "args");
  } else if (call != NULL && call->argument == ARGUMENT_DESCRIPTOR && args != NULL &&
             args->kind != JSON_NULL) {
    int *descriptor = take(sizeof *descriptor);
    *descriptor = (int)number_of(args, "args");
    argument.value = (uintptr_t)descriptor;
  } else if (is_address(args)) {
    argument.value = (uintptr_t)number_of(args, "args");
  } else if (call != NULL && call->argument == ARGUMENT_STRUCT) {
    return structure_argument(call, args);
  } else if (args != NULL) {
    argument.bytes = data_of(args, NULL, "args");
    argument.value = (uintptr_t)argument.bytes.bytes;
  }
  return argument;
}

/* Before the call, so that a line that is none changes nothing. */
static void check_bind(const struct json *bind, const struct argument_value *argument) {
  if (bind == NULL) return;
  if (bind->kind != JSON_OBJECT) refuse("bind is no object");
  for (const struct json *m = bind->first; m != NULL; m = m->next) {
    const char *name = text_of(m, "bind");
    if (argument->filled.layout == NULL || !has_value(&argument->filled, m->key))
      refuse("bind: there is no %s", m->key);
    if (name[0] == '$')
      check_name(name + 1);
    else
      check_free(name);
  }
}

static void name_files(const struct json *bind, const char *as) {
  for (const struct json *m = bind == NULL ? NULL : bind->first; m != NULL; m = m->next)
    if (m->text[0] != '$') name_file(m->text);
  if (as != NULL) name_file(as);
}

/* What a call that failed would have given is 0, which is no object, or a file that is not open. */
static void keep_results(const struct json *bind, const struct argument_value *argument,
                         bool well) {
  if (bind == NULL) return;
  for (const struct json *m = bind->first; m != NULL; m = m->next) {
    uint64_t value = well ? value_at(&argument->filled, m->key) : 0;
    if (m->text[0] == '$')
      set_variable(m->text + 1, value);
    else if (well)
      find_file(m->text)->descriptor = (int)value;
  }
}

/* The descriptor that the next file gets: the lowest that is free. */
static int next_descriptor(void) {
  int descriptor = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
  if (descriptor >= 0) close(descriptor);
  return descriptor;
}

/*
 * Names the file that a call has made. Linux 7.3 makes a test dma-buf a file and answers 0 all the same: then it is the
 * one that was `next` and is open now.
 */
static void keep_file(const char *name, const struct call *call, const struct json *args,
                      int result, int next) {
  if (name == NULL) return;
  struct file *file = find_file(name);
  file->descriptor = result;
  if (result == 0) file->descriptor = fcntl(next, F_GETFD) < 0 ? -1 : next;
  if (call != NULL && call->argument == ARGUMENT_TEXT && args != NULL &&
      args->kind == JSON_STRING)
    normal_device(args->text, file->device);
}

static void answer_out(const struct argument_value *argument, bool well) {
  size_t nothing = answer_mark();
  answer_open("out", '{');
  size_t empty = answer_mark();
  if (argument->filled.layout != NULL)
    answer_changes(&argument->filled, argument->before, well);
  else if (argument->bytes.form != NULL)
    answer_data("bytes", &argument->bytes);
  answer_close('}');
  if (answer_mark() == empty + 1) answer_rewind(nothing);
}

void operation_ioctl(const struct json *line) {
  only_members(line, "ioctl fd args bind as");
  unsigned long number;
  const struct call *call = call_of(line, &number);
  const struct json *args = member(line, "args"), *bind = member(line, "bind");
  const struct file *file = file_member(line, "fd");
  struct argument_value argument = argument_of(call, args);
  const char *as = member(line, "as") == NULL ? NULL : text_of(member(line, "as"), "as");
  check_bind(bind, &argument);
  if (as != NULL) check_free(as);
  name_files(bind, as);
  int next = next_descriptor();
  int result = ioctl(file->descriptor, number, argument.value);
  int error = result < 0 ? errno : 0;
  answer_errno(error);
  if (result > 0) answer_number("value", result);
  answer_out(&argument, error == 0);
  keep_results(bind, &argument, error == 0);
  keep_file(as, call, args, result, next);
}
