/* Touching memory that may not be there, or not allow it. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "operations.h"

static sigjmp_buf fault;
static volatile sig_atomic_t is_guarded;

static void caught(int signal_number) {
  if (is_guarded) siglongjmp(fault, 1);
  signal(signal_number, SIG_DFL);
}

void install_guard(void) {
  struct sigaction action = {.sa_handler = caught};
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

/* Registers of a device want accesses as wide as they are. */
static void copy(void *to, const volatile void *from, size_t length) {
  const bool whole = (((uintptr_t)to | (uintptr_t)from | length) & 3) == 0;
  if (whole)
    for (size_t i = 0; i < length / 4; i++)
      ((volatile uint32_t *)to)[i] = ((const volatile uint32_t *)from)[i];
  else
    for (size_t i = 0; i < length; i++)
      ((volatile uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
}

int copy_guarded(void *to, const volatile void *from, size_t length) {
  volatile int error = EFAULT;
  if (sigsetjmp(fault, 1) == 0) {
    is_guarded = 1;
    copy(to, from, length);
    error = 0;
  }
  is_guarded = 0;
  return error;
}
