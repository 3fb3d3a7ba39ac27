// A VT-d remapping unit's translation in C: the same steps, checks, caches and counters as
// src/hardware/vtd, written as one would in C, with 64-bit addresses and everything in one unit of
// compilation. Only what a benchmark reaches is here; faults are their codes.

#ifndef UNIT_H
#define UNIT_H

#include "round.h"

enum { READ = 1, WRITE = 2, EXECUTE = 4, PRIVILEGED = 8 };
enum { UNTRANSLATED, TRANSLATION_REQUEST, TRANSLATED };
enum { FIRST_STAGE = 1, SECOND_STAGE, NESTED, PASS_THROUGH };

#define NO_PASID (-1)
#define ADDRESS 0x000ffffffffff000ull
#define CHANGED (-1)

struct request {
	int32_t source;
	int32_t pasid;
	uint64_t address;
	uint32_t length;
	int32_t access;
	int32_t type;
	uint64_t out;
	int32_t page_lg2;
	int32_t granted;
	int32_t fault;
};

struct target {
	int32_t type;
	int32_t domain;
	int32_t pasid;
	bool fpd;
	uint64_t first_pfn;
	int32_t first_levels;
	uint64_t second_pfn;
	int32_t second_levels;
	bool second_flags;
	bool snooped;
	bool supervisor_requests;
	bool write_protect;
	bool extended_accessed;
};

struct context {
	int32_t source;
	bool fpd;
	bool device_tlb;
	bool pasids;
	bool rid_privileged;
	int32_t pasid_limit;
	int32_t rid_pasid;
	uint64_t pfn;
};

struct pasid_line {
	int32_t source;
	int32_t pasid;
	struct target target;
};

/** 32 bytes, as the TypeScript side's entries. */
struct entry {
	uint64_t key;
	uint32_t tag;
	uint32_t rights;
	uint64_t out;
	uint64_t spare;
};

struct cache {
	struct entry *entries;
	uint32_t lg2;
};

struct binding {
	int32_t source;
	int32_t pasid;
	int32_t generation;
	uint32_t tag;
	int32_t extra_access;
	uint32_t second_tag;
	/** Access bits that the target refuses whatever its tables say. */
	int32_t refused_access;
	bool fpd;
	struct target target;
};

struct structures {
	struct cache level0;
	struct cache level1;
};

struct cursor {
	int32_t level;
	uint64_t pfn;
	uint64_t *at;
	uint64_t value;
};

struct stage {
	uint64_t out;
	int32_t page_lg2;
	uint32_t rights;
	struct cursor cursor;
	struct structures structures;
};

#define BINDINGS_LG2 10
#define CONTEXTS_LG2 8
#define PASIDS_LG2 10

struct unit {
	struct memory *memory;
	bool cached;
	bool enabled;
	uint64_t root_pfn;
	int32_t host_width;
	int32_t guest_width;
	int32_t pasid_bits;
	bool execute_requests;
	bool fpd;
	int32_t generation;
	uint32_t tag;
	uint32_t second_tag;
	bool sizes_2m;
	bool sizes_1g;
	struct cache pages_4k;
	struct cache pages_2m;
	struct cache pages_1g;
	struct stage first;
	struct stage second;
	uint64_t guest_pfn;
	struct context loose_context;
	struct pasid_line loose_pasid;
	struct context *context;
	struct target *target;
	uint64_t table_reads;
	uint64_t structure_reads;
	uint64_t walks;
	uint64_t flag_updates;
	uint64_t first_table_reserved;
	uint64_t first_leaf_reserved[3];
	uint64_t second_table_reserved;
	uint64_t second_leaf_reserved[3];
	/** By PASID. */
	uint32_t first_tags[8];
	/** By domain. */
	uint32_t second_tags[8];
	struct binding bindings[1 << BINDINGS_LG2];
	struct context contexts[1 << CONTEXTS_LG2];
	struct pasid_line pasids[1 << PASIDS_LG2];
};

/** Translates `request`; `false` when it is refused, with `request->fault` set. */
bool translate(struct unit *unit, struct request *request);

/** The first stage alone, from its top table, without a cache. */
bool walk_tables(struct unit *unit, const struct target *target, uint64_t address, int32_t access, uint64_t *out);

/** Drops the page around `address` from the IOTLB and what leads to it, unless `hint`. */
void invalidate_page(struct unit *unit, uint32_t pasid, uint64_t address, bool hint);

struct unit *create_unit(struct memory *memory, bool cached, uint32_t iotlb_lg2, uint32_t structures_lg2);

/** The probe of the 4 KiB cache alone. */
static inline struct entry *cache_find(const struct cache *c, uint32_t tag, uint64_t key)
{
	struct entry *e = &c->entries[cache_slot(tag, key, c->lg2)];

	return e->key == key && e->tag == tag ? e : NULL;
}

static inline void cache_put(const struct cache *c, uint32_t tag, uint64_t key, uint32_t rights, uint64_t out)
{
	struct entry *e = &c->entries[cache_slot(tag, key, c->lg2)];

	e->key = key;
	e->tag = tag;
	e->rights = rights;
	e->out = out;
}

#endif
