// map and unmap in C, as src/page-table does them: one algorithm, formats as constant data that the
// compiler folds in, the largest page that fits, overlap refused, the position kept while a table's
// entries are written, tables that end up without a use taken out through a gather.
// page-table FORMAT PAGE_LG2 COUNT REPEAT, FORMAT 0 x86-64, 1 VT-d second stage, 2 AMD v1.

#include "round.h"

#define INLINE static inline __attribute__((always_inline))
#define ADDRESS 0x000ffffffffff000ull
#define LEVELS 4
#define NONE (~0ull)

struct format {
	uint64_t used;
	uint32_t kind_shift;
	uint32_t kind_mask;
	uint32_t leaf_kinds[LEVELS];
	uint32_t table_kinds[LEVELS];
	uint64_t encoded_size;
	/** Of leaves, by level, with all permissions. */
	uint64_t leaf[LEVELS];
	uint64_t table[LEVELS];
	/** Bit n: pages of 2^(12 + n) bytes. */
	uint64_t sizes;
};

static const struct format X86_64 = {
	.used = 1, .kind_shift = 7, .kind_mask = 1, .leaf_kinds = { 3, 2, 2, 0 }, .table_kinds = { 0, 1, 1, 1 },
	.leaf = { 0x67, 0xe7, 0xe7 }, .table = { 0, 0x27, 0x27, 0x27 }, .sizes = 1 << 0 | 1 << 9 | 1 << 18,
};
static const struct format SECOND_STAGE = {
	.used = ~0ull, .kind_shift = 7, .kind_mask = 1, .leaf_kinds = { 3, 2, 2, 0 }, .table_kinds = { 0, 1, 1, 1 },
	.leaf = { 0x3, 0x83, 0x83 }, .table = { 0, 0x3, 0x3, 0x3 }, .sizes = 1 << 0 | 1 << 9 | 1 << 18,
};
#define AMD_ACCESS (3ull << 61 | 1)
static const struct format AMD_V1 = {
	.used = 1, .kind_shift = 9, .kind_mask = 7, .leaf_kinds = { 0x81, 0x81, 0x81, 0x81 },
	.table_kinds = { 0, 2, 4, 8 }, .encoded_size = 0xe00,
	.leaf = { AMD_ACCESS, AMD_ACCESS, AMD_ACCESS, AMD_ACCESS },
	.table = { 0, AMD_ACCESS | 1 << 9, AMD_ACCESS | 2 << 9, AMD_ACCESS | 3 << 9 },
	.sizes = (1ull << 40) - 1 - (1ull << 27),
};

struct table {
	struct memory *memory;
	uint64_t root;
	bool failed;
	/** Table pages to be had. */
	uint64_t free[64];
	uint32_t free_count;
};

struct gather {
	uint64_t start;
	uint64_t end;
	uint64_t tables[64];
	uint32_t count;
};

enum kind { EMPTY, TABLE, LEAF, INVALID };

INLINE uint32_t own_lg2(uint32_t level)
{
	return 9 * level;
}

/** log2 of the frames of a leaf, or -1. */
INLINE int32_t leaf_lg2(const struct format *f, uint32_t level, uint64_t entry)
{
	if (f->encoded_size == 0 || (entry & f->encoded_size) != f->encoded_size)
		return (int32_t)own_lg2(level);
	int32_t lg2 = __builtin_ctzll(~(entry | 0xfff)) + 1 - 12;

	return lg2 > (int32_t)own_lg2(level) && lg2 < (int32_t)own_lg2(level) + 9 ? lg2 : -1;
}

INLINE enum kind classify(const struct format *f, uint32_t level, uint64_t entry)
{
	if ((entry & f->used) == 0)
		return EMPTY;
	uint32_t kind = (entry >> f->kind_shift) & f->kind_mask;

	if ((f->table_kinds[level] >> kind) & 1)
		return TABLE;
	if (!((f->leaf_kinds[level] >> kind) & 1))
		return INVALID;
	return leaf_lg2(f, level, entry) < 0 ? INVALID : LEAF;
}

INLINE uint64_t *entries_of(struct table *t, uint64_t pfn)
{
	return pfn < t->memory->frames ? t->memory->words + (pfn << 9) : NULL;
}

static uint64_t new_table(struct table *t)
{
	uint64_t pfn = t->free_count > 0 ? t->free[--t->free_count] : allocate_frame(t->memory);

	memset(frame_words(t->memory, pfn), 0, 4096);
	return pfn;
}

INLINE bool in_range(uint64_t vfn, uint64_t count)
{
	return count != 0 && vfn + count <= 1ull << 36;
}

/** Whether there is no leaf below; only then may a larger page take the place. */
static bool holds_nothing(const struct format *f, struct table *t, uint64_t pfn, uint32_t level)
{
	uint64_t *entries = entries_of(t, pfn);

	if (entries == NULL)
		return false;
	for (uint32_t i = 0; i < 512; i++) {
		enum kind kind = classify(f, level, entries[i]);

		if (kind == EMPTY)
			continue;
		if (kind != TABLE || !holds_nothing(f, t, (entries[i] & ADDRESS) >> 12, level - 1))
			return false;
	}
	return true;
}

static void collect_tables(const struct format *f, struct table *t, uint64_t pfn, uint32_t level, struct gather *g)
{
	uint64_t *entries = entries_of(t, pfn);

	for (uint32_t i = 0; level > 0 && i < 512; i++)
		if (classify(f, level, entries[i]) == TABLE)
			collect_tables(f, t, (entries[i] & ADDRESS) >> 12, level - 1, g);
	g->tables[g->count++] = pfn;
}

static __attribute__((noinline)) bool replace_table(const struct format *f, struct table *t, uint64_t *entry,
						    uint32_t level, uint64_t vfn, struct gather *g)
{
	uint64_t child = (*entry & ADDRESS) >> 12;

	if (classify(f, level, *entry) != TABLE || !holds_nothing(f, t, child, level - 1)) {
		t->failed = true;
		return false;
	}
	collect_tables(f, t, child, level - 1, g);
	*entry = 0;
	if (vfn < g->start)
		g->start = vfn;
	if (vfn + (1ull << own_lg2(level)) > g->end)
		g->end = vfn + (1ull << own_lg2(level));
	return true;
}

INLINE uint64_t table_for(const struct format *f, struct table *t, uint64_t vfn, uint32_t level)
{
	uint64_t pfn = t->root;

	for (uint32_t at = LEVELS - 1; at > level; at--) {
		uint64_t *entries = entries_of(t, pfn);

		if (entries == NULL) {
			t->failed = true;
			return NONE;
		}
		uint64_t *entry = &entries[(vfn >> own_lg2(at)) & 511];

		if ((*entry & f->used) == 0) {
			pfn = new_table(t);
			*entry = pfn << 12 | f->table[at];
		} else if ((f->table_kinds[at] >> ((*entry >> f->kind_shift) & f->kind_mask)) & 1) {
			pfn = (*entry & ADDRESS) >> 12;
		} else {
			t->failed = true;
			return NONE;
		}
	}
	return pfn;
}

INLINE uint64_t write_leaves(const struct format *f, struct table *t, uint64_t *entries, uint64_t count, uint64_t entry,
			     uint64_t step, uint32_t level, uint64_t vfn, struct gather *g)
{
	uint64_t n = 0;

	// Four at a time: one test tells that all are empty.
	for (; n + 4 <= count; n += 4, entry += 4 * step) {
		uint64_t *four = entries + n;

		if (((four[0] | four[1] | four[2] | four[3]) & f->used) != 0)
			break;
		four[0] = entry;
		four[1] = entry + step;
		four[2] = entry + 2 * step;
		four[3] = entry + 3 * step;
	}
	for (; n < count; n++, entry += step) {
		if ((entries[n] & f->used) != 0 &&
		    !replace_table(f, t, &entries[n], level, vfn + (n << own_lg2(level)), g))
			return n;
		entries[n] = entry;
	}
	return count;
}

INLINE uint64_t write_replicated(const struct format *f, struct table *t, uint64_t *entries, uint64_t count,
				 uint32_t replicas, uint64_t entry, uint64_t step, uint32_t level, uint64_t vfn,
				 struct gather *g)
{
	for (uint64_t n = 0; n < count; n++, entry += step, entries += replicas) {
		for (uint32_t i = 0; i < replicas; i++)
			if ((entries[i] & f->used) != 0 &&
			    !replace_table(f, t, &entries[i], level, vfn + ((n * replicas + i) << own_lg2(level)), g))
				return n;
		for (uint32_t i = 0; i < replicas; i++)
			entries[i] = entry;
	}
	return count;
}

INLINE uint64_t map_pages(const struct format *f, struct table *t, uint64_t vfn, uint64_t pfn, uint32_t lg2,
			  uint64_t pages, struct gather *g)
{
	uint32_t level = lg2 / 9, replicas = 1u << (lg2 - own_lg2(level));
	uint64_t done = 0;

	while (done < pages) {
		uint64_t at = vfn + (done << lg2), leaf_table = table_for(f, t, at, level);

		if (leaf_table == NONE)
			break;
		uint64_t *entries = entries_of(t, leaf_table);
		uint32_t index = (at >> own_lg2(level)) & 511;
		uint64_t room = (512 - index) / replicas, wanted = pages - done < room ? pages - done : room;
		uint64_t step = 4096ull << lg2, entry = (pfn + (done << lg2)) << 12 | f->leaf[level];

		if (replicas > 1)
			entry = (entry | f->encoded_size) + ((1ull << (lg2 + 11)) - 4096);
		uint64_t written = replicas == 1
					   ? write_leaves(f, t, entries + index, wanted, entry, step, level, at, g)
					   : write_replicated(f, t, entries + index, wanted, replicas, entry, step, level, at, g);

		done += written;
		if (written < wanted)
			break;
	}
	return done << lg2;
}

INLINE uint32_t best_lg2(const struct format *f, uint64_t vfn, uint64_t pfn, uint64_t count)
{
	uint64_t low = vfn | pfn;
	uint32_t alignment = low == 0 ? 63 : (uint32_t)__builtin_ctzll(low);
	uint32_t limit = 63 - (uint32_t)__builtin_clzll(count);

	return 63 - (uint32_t)__builtin_clzll(f->sizes & ((2ull << (alignment < limit ? alignment : limit)) - 1));
}

INLINE uint64_t pages_of(const struct format *f, uint32_t lg2, uint64_t vfn, uint64_t pfn, uint64_t count)
{
	uint64_t larger = f->sizes & ~((2ull << lg2) - 1);

	if (larger != 0) {
		uint32_t next = (uint32_t)__builtin_ctzll(larger);
		uint64_t size = 1ull << next, to_boundary = size - (vfn & (size - 1));

		if (((vfn ^ pfn) & (size - 1)) == 0 && to_boundary + size <= count)
			return to_boundary >> lg2;
	}
	return count >> lg2;
}

INLINE uint64_t map_frames(const struct format *f, struct table *t, uint64_t vfn, uint64_t pfn, uint64_t count,
			   struct gather *g)
{
	uint64_t done = 0;

	t->failed = !in_range(vfn, count) || pfn + count > 1ull << 40;
	while (done < count && !t->failed) {
		uint32_t lg2 = best_lg2(f, vfn + done, pfn + done, count - done);
		uint64_t pages = pages_of(f, lg2, vfn + done, pfn + done, count - done);

		done += map_pages(f, t, vfn + done, pfn + done, lg2, pages, g);
	}
	return done;
}

INLINE uint64_t clear_leaves(const struct format *f, struct table *t, uint64_t pfn, uint32_t level, uint64_t vfn,
			     uint64_t end)
{
	uint64_t *entries = entries_of(t, pfn);
	uint32_t index = (vfn >> own_lg2(level)) & 511, slot = index;

	if (entries == NULL) {
		t->failed = true;
		return vfn;
	}
	while (vfn < end && slot < 512) {
		enum kind kind = classify(f, level, entries[slot]);

		if (kind != LEAF) {
			t->failed |= kind != TABLE;
			break;
		}
		uint32_t lg2 = (uint32_t)leaf_lg2(f, level, entries[slot]);

		if ((vfn & ((1ull << lg2) - 1)) != 0) {
			t->failed = true;
			break;
		}
		vfn += 1ull << lg2;
		slot += 1u << (lg2 - own_lg2(level));
	}
	memset(&entries[index], 0, (slot - index) * sizeof(*entries));
	return vfn;
}

// One function for each level, so that a format's facts are constants in each.

INLINE uint64_t unmap_0(const struct format *f, struct table *t, uint64_t pfn, uint64_t vfn, uint64_t end,
			struct gather *g)
{
	(void)g;
	return clear_leaves(f, t, pfn, 0, vfn, end);
}

#define DEFINE_UNMAP(level, below)                                                                                      \
	INLINE uint64_t unmap_##level(const struct format *f, struct table *t, uint64_t pfn, uint64_t vfn,              \
				      uint64_t end, struct gather *g)                                                   \
	{                                                                                                               \
		while (vfn < end) {                                                                                     \
			uint64_t *entries = entries_of(t, pfn);                                                         \
                                                                                                                        \
			if (entries == NULL) {                                                                          \
				t->failed = true;                                                                       \
				return vfn;                                                                             \
			}                                                                                               \
			uint64_t *entry = &entries[(vfn >> own_lg2(level)) & 511];                                      \
			enum kind kind = classify(f, level, *entry);                                                    \
                                                                                                                        \
			if (kind == TABLE) {                                                                            \
				uint64_t base = vfn >> own_lg2(level) << own_lg2(level);                                \
				uint64_t item_end = base + (1ull << own_lg2(level));                                    \
				uint64_t child = (*entry & ADDRESS) >> 12;                                              \
				uint64_t next = below(f, t, child, vfn, item_end < end ? item_end : end, g);            \
                                                                                                                        \
				if (t->failed)                                                                          \
					return next;                                                                    \
				if (vfn == base && item_end <= end) {                                                   \
					*entry = 0;                                                                     \
					g->tables[g->count++] = child;                                                  \
				}                                                                                       \
				vfn = next;                                                                             \
			} else if (kind == LEAF) {                                                                      \
				vfn = clear_leaves(f, t, pfn, level, vfn, end);                                         \
				if (t->failed)                                                                          \
					return vfn;                                                                     \
			} else {                                                                                        \
				t->failed = true;                                                                       \
				return vfn;                                                                             \
			}                                                                                               \
		}                                                                                                       \
		return vfn;                                                                                             \
	}

DEFINE_UNMAP(1, unmap_0)
DEFINE_UNMAP(2, unmap_1)
DEFINE_UNMAP(3, unmap_2)

INLINE uint64_t unmap_frames(const struct format *f, struct table *t, uint64_t vfn, uint64_t count, struct gather *g)
{
	t->failed = !in_range(vfn, count);
	if (t->failed)
		return 0;
	uint64_t done = unmap_3(f, t, t->root, vfn, vfn + count, g) - vfn;

	if (done > 0) {
		if (vfn < g->start)
			g->start = vfn;
		if (vfn + done > g->end)
			g->end = vfn + done;
	}
	return done;
}

#define DEFINE_FORMAT(name, format)                                                                                     \
	static __attribute__((noinline)) uint64_t map_##name(struct table *t, uint64_t vfn, uint64_t pfn,               \
							     uint64_t count, struct gather *g)                          \
	{                                                                                                               \
		return map_frames(&format, t, vfn, pfn, count, g);                                                      \
	}                                                                                                               \
	static __attribute__((noinline)) uint64_t unmap_##name(struct table *t, uint64_t vfn, uint64_t count,           \
							       struct gather *g)                                        \
	{                                                                                                               \
		return unmap_frames(&format, t, vfn, count, g);                                                         \
	}

DEFINE_FORMAT(x86_64, X86_64)
DEFINE_FORMAT(second_stage, SECOND_STAGE)
DEFINE_FORMAT(amd_v1, AMD_V1)

static const struct {
	uint64_t (*map)(struct table *, uint64_t, uint64_t, uint64_t, struct gather *);
	uint64_t (*unmap)(struct table *, uint64_t, uint64_t, struct gather *);
} FORMATS[] = { { map_x86_64, unmap_x86_64 }, { map_second_stage, unmap_second_stage }, { map_amd_v1, unmap_amd_v1 } };

struct job {
	struct memory memory;
	struct table table;
	uint32_t format;
	uint64_t frames;
	uint32_t repeat;
	/** First frames of what is mapped and unmapped. */
	uint64_t *places;
};

#define PLACES 1024u

/** Frames between places: two pages of the size, so that a table never empties. */
static struct result map_and_unmap(void *p)
{
	struct job *j = p;
	uint64_t mapped = 0;
	double start = now_ns(), ns = 0;

	for (uint32_t n = 0; n < j->repeat; n++) {
		for (uint32_t i = 0; i < PLACES; i++) {
			struct gather g;
			uint64_t vfn = j->places[i];
			// Many pages of 4 KiB: output that is not aligned to anything larger.
			uint64_t pfn = j->frames == 256 ? vfn - FIRST_VFN + 1 : vfn - FIRST_VFN;

			g.start = NONE;
			g.end = 0;
			g.count = 0;
			mapped += FORMATS[j->format].map(&j->table, vfn, pfn, j->frames, &g);
			mapped += FORMATS[j->format].unmap(&j->table, vfn, j->frames, &g);
			for (uint32_t k = 0; k < g.count; k++)
				j->table.free[j->table.free_count++] = g.tables[k];
		}
		start = end_slice(start, PLACES, &ns);
	}
	if (j->table.failed)
		exit(2);
	return (struct result){ ns, (uint32_t)(mapped / PLACES / j->repeat), 0 };
}

int main(int argc, char **argv)
{
	struct job j = { 0 };
	uint32_t state = 1;

	if (argc != 5)
		return 1;
	j.format = (uint32_t)strtoul(argv[1], NULL, 10);
	uint64_t page = 1ull << (strtoul(argv[2], NULL, 10) - 12), count = strtoul(argv[3], NULL, 10);

	j.frames = page * count;
	j.repeat = (uint32_t)strtoul(argv[4], NULL, 10);
	j.memory = create_memory(1 << 14);
	j.table.memory = &j.memory;
	j.table.root = new_table(&j.table);
	j.places = malloc(PLACES * sizeof(*j.places));
	uint64_t span = page == 1 ? 1 << 14 : page == 512 ? 1 << 18 : 1ull << 26;
	struct gather g = { .start = NONE };

	// A page of the size in every other place keeps the tables there.
	for (uint64_t at = 0; at < span; at += 2 * j.frames)
		FORMATS[j.format].map(&j.table, FIRST_VFN + at + j.frames, at, page, &g);
	for (uint32_t i = 0; i < PLACES; i++)
		j.places[i] = FIRST_VFN + random_below(&state, (uint32_t)(span / (2 * j.frames))) * 2 * j.frames;
	serve(map_and_unmap, &j);
	return 0;
}
