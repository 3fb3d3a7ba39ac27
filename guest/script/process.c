/* Who the script is, and commands of the shell. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "data.h"
#include "line.h"
#include "operations.h"

/* Real and effective; the saved user stays 0, which is the way back. */
static int become(unsigned id) {
  if (setresuid(0, 0, 0) != 0 || setresgid(0, 0, 0) != 0) return errno;
  if (id == 0) return 0;
  return setresgid(id, id, 0) == 0 && setresuid(id, id, 0) == 0 ? 0 : errno;
}

/* The soft limit on locked memory; a user without privilege may not raise the hard one. */
static int limit_locked(uint64_t bytes) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return errno;
  limit.rlim_cur = bytes > (uint64_t)limit.rlim_max ? limit.rlim_max : (rlim_t)bytes;
  return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 ? 0 : errno;
}

void become_root(void) {
  static struct rlimit first;
  static bool is_known;
  if (geteuid() != 0 || getuid() != 0) become(0);
  if (is_known)
    setrlimit(RLIMIT_MEMLOCK, &first);
  else
    is_known = getrlimit(RLIMIT_MEMLOCK, &first) == 0;
}

void operation_user(const struct json *line) {
  only_members(line, "user memlock");
  uint64_t user = number_of(member(line, "user"), "user");
  uint64_t memlock = number_member(line, "memlock", 0);
  if (user > 0xfffffffe) refuse("user: a user has 32 bits");
  int error = become((unsigned)user);
  if (error == 0 && member(line, "memlock") != NULL) error = limit_locked(memlock);
  answer_outcome(error);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads until the other end is closed, or the time is over. Returns whether it was closed. */
static bool gather(int descriptor, char *bytes, size_t room, size_t *used, int64_t until) {
  char rest[256];
  for (;;) {
    int64_t left = until - now();
    struct pollfd poll_of = {.fd = descriptor, .events = POLLIN};
    if (left <= 0 || poll(&poll_of, 1, (int)left) <= 0) return false;
    bool is_full = *used == room;
    ssize_t done = is_full ? read(descriptor, rest, sizeof rest)
                           : read(descriptor, bytes + *used, room - *used);
    if (done <= 0) return true;
    if (!is_full) *used += (size_t)done;
  }
}

_Noreturn static void become_shell(const char *command, int output) {
  int nothing = open("/dev/null", O_RDONLY);
  setpgid(0, 0);
  signal(SIGSEGV, SIG_DFL);
  signal(SIGBUS, SIG_DFL);
  dup2(nothing, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execl("/bin/sh", "sh", "-c", command, (char *)NULL);
  _exit(127);
}

void operation_run(const struct json *line) {
  only_members(line, "run ms");
  const char *command = text_of(member(line, "run"), "run");
  uint64_t milliseconds = number_member(line, "ms", 10000);
  if (milliseconds > MAX_WAIT) refuse("ms: more than an hour");
  char *bytes = take(MAX_LENGTH);
  size_t used = 0;
  int ends[2], status = 0;
  if (pipe2(ends, O_CLOEXEC) != 0) {
    answer_outcome(errno);
    return;
  }
  pid_t child = fork();
  if (child == 0) become_shell(command, ends[1]);
  int error = child < 0 ? errno : 0;
  close(ends[1]);
  if (child > 0) {
    if (!gather(ends[0], bytes, MAX_LENGTH, &used, now() + (int64_t)milliseconds)) {
      error = ETIMEDOUT;
      kill(-child, SIGKILL);
      kill(child, SIGKILL);
    }
    waitpid(child, &status, 0);
  }
  close(ends[0]);
  answer_outcome(error);
  if (error == 0)
    answer_number("exit", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  if (child > 0) answer_text("text", bytes, used);
}
