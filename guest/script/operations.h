/* The operations of a script, one function each. It gets the line and puts its answer together. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "json.h"
#include "names.h"

/* The longest wait, in milliseconds. */
#define MAX_WAIT 3600000u

/* memory.c */
void operation_mem(const struct json *line);
void operation_free(const struct json *line);
void operation_protect(const struct json *line);
void operation_peek(const struct json *line);
void operation_poke(const struct json *line);
void forget_places(void);

/* call.c */
void operation_ioctl(const struct json *line);

/* files.c */
void operation_open(const struct json *line);
void operation_close(const struct json *line);
void operation_eventfd(const struct json *line);
void operation_read(const struct json *line);
void operation_write(const struct json *line);
void operation_wait(const struct json *line);
void operation_file(const struct json *line);
/* The file called iommu, open or not. */
void open_iommu(void);

/* engine.c */
void operation_dma(const struct json *line);

/* process.c */
void operation_user(const struct json *line);
void operation_run(const struct json *line);
void become_root(void);

/* device-files.c: what a device is in the file system. Each returns an errno, or 0. */
int normal_device(const char *text, char device[16]);
int device_path(const char *device, char *path, size_t room);
int group_path(const char *device, char *path, size_t room);

/* guard.c: copying that survives memory which is not there. Returns an errno, or 0. */
int copy_guarded(void *to, const volatile void *from, size_t length);
void install_guard(void);

#endif
