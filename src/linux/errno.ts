/**
 * Error numbers as Linux has them on x86, and the shape of every answer in
 * this room: a value or an error. Nothing a client does throws.
 */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ESPIPE: 29,
  ERANGE: 34,
  EDEADLOCK: 35,
  EBADE: 52,
  EOVERFLOW: 75,
  EBADFD: 77,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ETIMEDOUT: 110,
} as const;

/** The name of an error. */
export type Errno = keyof typeof ERRNO;

/** What an operation answers. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly errno: Errno };

export const ok = <T>(value: T): Outcome<T> => ({ ok: true, value });

/** Success without a value. */
export const DONE: Outcome<undefined> = Object.freeze({ ok: true, value: undefined });

export const fail = (errno: Errno): { readonly ok: false; readonly errno: Errno } => ({
  ok: false,
  errno,
});
