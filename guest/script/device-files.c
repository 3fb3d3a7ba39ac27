/* Devices by their PCI address: what sysfs and /dev have of them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "operations.h"

int normal_device(const char *text, char device[16]) {
  unsigned domain = 0, bus, number, function;
  int end = 0;
  bool whole = sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &number, &function, &end) == 4;
  if (!whole) {
    domain = 0;
    if (sscanf(text, "%2x:%2x.%1x%n", &bus, &number, &function, &end) != 3) return EINVAL;
  }
  if (text[end] != 0 || number > 31 || function > 7) return EINVAL;
  snprintf(device, 16, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, number, function);
  return 0;
}

static int put_file(const char *path, const char *text) {
  int descriptor = open(path, O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  int error = write(descriptor, text, strlen(text)) < 0 ? errno : 0;
  close(descriptor);
  return error;
}

/* Gives a device without a driver to vfio-pci. One that has another driver is left to it: EBUSY. */
static int bind_to_vfio(const char *device) {
  char path[128], driver[256];
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver", device);
  ssize_t length = readlink(path, driver, sizeof driver - 1);
  if (length >= 0) {
    driver[length] = 0;
    const char *slash = strrchr(driver, '/');
    return slash != NULL && strcmp(slash, "/vfio-pci") == 0 ? 0 : EBUSY;
  }
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver_override", device);
  int error = put_file(path, "vfio-pci");
  return error != 0 ? error : put_file("/sys/bus/pci/drivers_probe", device);
}

int device_path(const char *device, char *path, size_t room) {
  char folder[128];
  int error = bind_to_vfio(device);
  if (error != 0) return error;
  snprintf(folder, sizeof folder, "/sys/bus/pci/devices/%s/vfio-dev", device);
  DIR *entries = opendir(folder);
  if (entries == NULL) return errno;
  error = ENODEV;
  for (const struct dirent *e = readdir(entries); e != NULL; e = readdir(entries)) {
    if (e->d_name[0] == '.') continue;
    snprintf(path, room, "/dev/vfio/devices/%.64s", e->d_name);
    error = 0;
  }
  closedir(entries);
  return error;
}

int group_path(const char *device, char *path, size_t room) {
  char link[128], target[256], name[64];
  int error = bind_to_vfio(device);
  if (error != 0) return error;
  snprintf(link, sizeof link, "/sys/bus/pci/devices/%s/iommu_group", device);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) return errno;
  target[length] = 0;
  snprintf(name, sizeof name, "%.32s", strrchr(target, '/') + 1);
  snprintf(path, room, "/dev/vfio/%s", name);
  /* A group without an IOMMU behind it is called so. */
  if (access(path, F_OK) != 0) snprintf(path, room, "/dev/vfio/noiommu-%s", name);
  return 0;
}
