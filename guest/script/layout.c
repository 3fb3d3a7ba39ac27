#include "layout.h"

#include <string.h>

static const struct call *call_in(const struct calls *calls, const char *name) {
  for (size_t i = 0; i < calls->count; i++)
    if (strcmp(calls->rows[i].name, name) == 0) return &calls->rows[i];
  return NULL;
}

const struct call *find_call(const char *name) {
  const struct calls *const tables[] = {&IOMMUFD_CALLS, &IOMMUFD_TEST_CALLS, &VFIO_CALLS};
  const struct call *found = NULL;
  for (size_t i = 0; found == NULL && i < LENGTH_OF(tables); i++) found = call_in(tables[i], name);
  return found;
}

static const struct layout *layout_in(const struct layouts *layouts, const char *name) {
  for (size_t i = 0; i < layouts->count; i++)
    if (strcmp(layouts->rows[i]->name, name) == 0) return layouts->rows[i];
  return NULL;
}

const struct layout *find_layout(const char *name) {
  const struct layouts *const tables[] = {&IOMMUFD_LAYOUTS, &IOMMUFD_TEST_LAYOUTS, &VFIO_LAYOUTS};
  const struct layout *found = NULL;
  for (size_t i = 0; found == NULL && i < LENGTH_OF(tables); i++)
    found = layout_in(tables[i], name);
  return found;
}

const struct field *find_field(const struct layout *layout, const char *name) {
  for (size_t i = 0; i < layout->count; i++)
    if (strcmp(layout->fields[i].name, name) == 0) return &layout->fields[i];
  return NULL;
}
