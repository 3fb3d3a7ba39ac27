// Translation, invalidation and walks on a remapping unit: translate JOB ARGUMENTS..., see `main`.

#include "unit.h"

#define SOURCE 0x10
#define PASIDS 4
// Guest frames of a nested machine's tables: each level and the data in a 1 GiB region of its own,
// so that nothing a paging-structure cache of one entry keeps is of use to the next read.
#define GUEST_TABLES(level) ((uint64_t)(4 - (level)) << 18)
#define GUEST_DATA (8ull << 18)

struct job {
	struct unit *unit;
	struct memory memory;
	struct key *keys;
	uint32_t count;
	/** Requests: indices of `keys`, or pages of the mapped range. */
	uint32_t *stream;
	uint32_t repeat;
	uint64_t root;
	uint32_t page_lg2;
	/** Whether a page's frame is asked for at a page of that size. */
	bool by_key;
	int32_t access;
};

static struct memory host;

// Tables.

/** Walks to the table of `to` and makes what is missing. `value` is a table entry without its address. */
static uint64_t table_for(uint64_t root, int32_t from, int32_t to, uint64_t vfn, uint64_t value)
{
	uint64_t pfn = root;

	for (int32_t level = from; level > to; level--) {
		uint64_t *entry = frame_words(&host, pfn) + ((vfn >> (9 * level)) & 511);

		if (*entry == 0)
			*entry = allocate_frame(&host) << 12 | value;
		pfn = (*entry & ADDRESS) >> 12;
	}
	return pfn;
}

static void put_leaf(uint64_t root, int32_t level, uint64_t vfn, uint64_t pfn, uint64_t table, uint64_t leaf)
{
	uint64_t at = table_for(root, 3, level, vfn, table);

	frame_words(&host, at)[(vfn >> (9 * level)) & 511] = pfn << 12 | leaf;
}

static uint64_t first_stage_tables(uint64_t pages, uint32_t page_lg2)
{
	uint64_t root = allocate_frame(&host), size = 1ull << (page_lg2 - 12);
	int32_t level = (int32_t)(page_lg2 - 12) / 9;

	for (uint64_t i = 0; i < pages; i += size)
		put_leaf(root, level, FIRST_VFN + i, FIRST_PFN + i, 0x7, level > 0 ? 0x87 : 0x7);
	return root;
}

static uint64_t second_stage_tables(uint64_t pages)
{
	uint64_t root = allocate_frame(&host);

	for (uint64_t i = 0; i < pages; i++)
		put_leaf(root, 0, FIRST_VFN + i, FIRST_PFN + i, 0x3, 0x3);
	return root;
}

static uint64_t guest_frames[4];

/** A guest frame for a table of `level`, and the host frame behind it. */
static uint64_t guest_table(uint64_t second, int32_t level, uint64_t *behind)
{
	uint64_t guest = GUEST_TABLES(level) + guest_frames[level]++;

	*behind = allocate_frame(&host);
	put_leaf(second, 0, guest, *behind, 0x3, 0x3);
	return guest;
}

/** @returns the guest frame of the first stage's top */
static uint64_t nested_tables(uint64_t pages, uint64_t second)
{
	static uint64_t behind[1 << 14];
	uint64_t top_behind, top = guest_table(second, 3, &top_behind), counts[4] = { 0 };

	// Frames of tables by level, the newest last; pages come in order.
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t vfn = FIRST_VFN + i, at = top_behind;

		for (int32_t level = 3; level > 0; level--) {
			uint64_t *entry = frame_words(&host, at) + ((vfn >> (9 * level)) & 511);

			if (*entry == 0) {
				uint64_t new_behind;

				*entry = guest_table(second, level - 1, &new_behind) << 12 | 0x7;
				behind[(uint64_t)(level - 1) << 12 | counts[level - 1]++] = new_behind;
			}
			at = behind[(uint64_t)(level - 1) << 12 | (counts[level - 1] - 1)];
		}
		frame_words(&host, at)[vfn & 511] = (GUEST_DATA + i) << 12 | 0x7;
		put_leaf(second, 0, GUEST_DATA + i, FIRST_PFN + i, 0x3, 0x3);
	}
	return top;
}

static void device_tables(struct unit *u, uint64_t type, uint64_t first, uint64_t second)
{
	uint64_t root = allocate_frame(&host), context = allocate_frame(&host);
	uint64_t directory = allocate_frame(&host), table = allocate_frame(&host);

	frame_words(&host, root)[0] = context << 12 | 1;
	frame_words(&host, context)[SOURCE * 4] = directory << 12 | 0x8 | 1;
	frame_words(&host, directory)[0] = table << 12 | 1;
	for (uint64_t pasid = 1; pasid <= PASIDS; pasid++) {
		uint64_t *entry = frame_words(&host, table) + pasid * 8;

		entry[0] = second << 12 | (second != 0 ? 1 << 9 : 0) | type << 6 | 2 << 2 | 1;
		// A second stage's cache entries have its domain's tag: as many domains as PASIDs.
		entry[1] = 1 << 23 | (type == SECOND_STAGE ? pasid : 1);
		entry[2] = first << 12;
		u->first_tags[pasid] = space_tag((uint32_t)pasid);
		u->second_tags[pasid] = space_tag((uint32_t)(PASIDS + pasid));
	}
	u->root_pfn = root;
}

static uint64_t power_of_two_above(uint64_t frames)
{
	uint64_t power = 1;

	while (power < frames)
		power <<= 1;
	return power;
}

// Rounds.

static inline void ask(struct request *r, uint32_t pasid, uint64_t vfn)
{
	r->pasid = (int32_t)pasid;
	r->address = vfn << 12;
}

static struct request a_request(const struct job *j)
{
	return (struct request){ .source = SOURCE, .length = 1, .access = j->access };
}

static struct result translate_stream(void *p)
{
	struct job *j = p;
	struct request r = a_request(j);
	uint64_t reads = j->unit->table_reads;
	uint32_t sum = 0;
	double start = now_ns(), ns = 0;

	for (uint32_t first = 0; first < STREAM * j->repeat; first += SLICE) {
		for (uint32_t i = first & (STREAM - 1); i < (first & (STREAM - 1)) + SLICE; i++) {
			uint32_t item = j->stream[i];

			if (j->by_key)
				ask(&r, j->keys[item].pasid, j->keys[item].vfn);
			else
				ask(&r, 1 + (i & 1), FIRST_VFN + item);
			if (!translate(j->unit, &r))
				exit(2);
			sum += (uint32_t)(r.out >> 12);
		}
		start = end_slice(start, SLICE, &ns);
	}
	double operations = (double)STREAM * j->repeat;

	return (struct result){ ns, sum, (double)(j->unit->table_reads - reads) / operations };
}

static struct result look_up_stream(void *p)
{
	struct job *j = p;
	const struct cache *c = &j->unit->pages_4k;
	uint32_t sum = 0;
	double start = now_ns(), ns = 0;

	for (uint32_t first = 0; first < STREAM * j->repeat; first += SLICE) {
		for (uint32_t i = first & (STREAM - 1); i < (first & (STREAM - 1)) + SLICE; i++) {
			const struct key *key = &j->keys[j->stream[i]];
			struct entry *e = cache_find(c, key->pasid, key->vfn);

			if (e != NULL)
				sum += (uint32_t)(e->out >> 12);
		}
		start = end_slice(start, SLICE, &ns);
	}
	return (struct result){ ns, sum, 0 };
}

static struct result walk_bare(void *p)
{
	struct job *j = p;
	const uint64_t *words = host.words;
	uint32_t sum = 0;
	double start = now_ns(), ns = 0;

	for (uint32_t first = 0; first < STREAM * j->repeat; first += SLICE) {
		for (uint32_t i = first & (STREAM - 1); i < (first & (STREAM - 1)) + SLICE; i++) {
			uint64_t vfn = FIRST_VFN + j->stream[i], entry = j->root << 12;

			for (int32_t level = 3; level >= 0; level--)
				entry = words[(entry & ADDRESS) >> 3 | ((vfn >> (9 * level)) & 511)];
			sum += (uint32_t)((entry & ADDRESS) >> 12);
		}
		start = end_slice(start, SLICE, &ns);
	}
	return (struct result){ ns, sum, 4 };
}

/** The first stage's walk with all its checks, but no device tables and no caches. */
static struct result walk_checked(void *p)
{
	struct job *j = p;
	struct target t = { .type = FIRST_STAGE, .first_pfn = j->root, .first_levels = 4, .snooped = true };
	uint32_t sum = 0;
	double start = now_ns(), ns = 0;

	for (uint32_t first = 0; first < STREAM * j->repeat; first += SLICE) {
		for (uint32_t i = first & (STREAM - 1); i < (first & (STREAM - 1)) + SLICE; i++) {
			uint64_t out;

			if (!walk_tables(j->unit, &t, (FIRST_VFN + j->stream[i]) << 12, READ, &out))
				exit(2);
			sum += (uint32_t)(out >> 12);
		}
		start = end_slice(start, SLICE, &ns);
	}
	return (struct result){ ns, sum, 4 };
}

static void fill(struct job *j)
{
	struct request r = a_request(j);

	for (uint32_t i = 0; i < j->count; i++) {
		ask(&r, j->keys[i].pasid, j->keys[i].vfn);
		translate(j->unit, &r);
	}
}

static struct result invalidate_stream(void *p)
{
	struct job *j = p;
	uint32_t batch = j->count / 4;
	double ns = 0;

	for (uint32_t n = 0; n < j->repeat; n++) {
		fill(j);
		double start = now_ns();

		for (uint32_t i = 0; i < batch; i++) {
			const struct key *key = &j->keys[(i * 4 + n) % j->count];

			invalidate_page(j->unit, key->pasid, key->vfn << 12, true);
		}
		end_slice(start, batch, &ns);
	}
	return (struct result){ ns, 0, 0 };
}

// Jobs.

static uint32_t number(char **argv, int i)
{
	return (uint32_t)strtoul(argv[i], NULL, 10);
}

static void prepare_keys(struct job *j, uint32_t count, uint32_t lg2, uint32_t page_lg2)
{
	uint64_t pages = 1 << 20;

	host = create_memory(1 << 20);
	j->unit = create_unit(&host, true, lg2, 10);
	j->keys = resident_keys(count, page_lg2 == 12 ? lg2 : lg2 - 2, page_lg2, 1 << 20);
	j->count = count;
	j->by_key = true;
	device_tables(j->unit, FIRST_STAGE, first_stage_tables(pages, page_lg2), 0);
	fill(j);
}

static void prepare_walk(struct job *j, uint64_t pages, uint64_t type, bool cached, uint32_t lg2, uint32_t structures)
{
	uint64_t first = 0, second = 0;

	host = create_memory(power_of_two_above(pages < 1 << 14 ? 1 << 14 : pages));
	j->unit = create_unit(&host, cached, lg2, structures);
	j->count = (uint32_t)pages;
	if (type == FIRST_STAGE) {
		first = first_stage_tables(pages, 12);
	} else if (type == SECOND_STAGE) {
		second = second_stage_tables(pages);
	} else {
		second = allocate_frame(&host);
		first = nested_tables(pages, second);
	}
	j->root = first;
	device_tables(j->unit, type, first, second);
}

static void prepare_stream(struct job *j)
{
	uint32_t state = 1;

	j->stream = malloc(STREAM * sizeof(*j->stream));
	for (uint32_t i = 0; i < STREAM; i++)
		j->stream[i] = random_below(&state, j->count);
}

/**
 * translate hit KEYS IOTLB_LG2 PAGE_LG2 REPEAT
 * translate look-up KEYS IOTLB_LG2 PAGE_LG2 REPEAT
 * translate invalidate KEYS IOTLB_LG2 PAGE_LG2 REPEAT
 * translate walk PAGES TYPE CACHED IOTLB_LG2 STRUCTURES_LG2 REPEAT
 * translate bare PAGES REPEAT
 * translate checked PAGES REPEAT
 */
int main(int argc, char **argv)
{
	struct job j = { .access = READ };
	struct result (*round)(void *) = translate_stream;

	if (argc == 6) {
		prepare_keys(&j, number(argv, 2), number(argv, 3), number(argv, 4));
		j.repeat = number(argv, 5);
		if (strcmp(argv[1], "look-up") == 0)
			round = look_up_stream;
		else if (strcmp(argv[1], "invalidate") == 0)
			round = invalidate_stream;
	} else if (argc == 8) {
		prepare_walk(&j, number(argv, 2), number(argv, 3), number(argv, 4) != 0, number(argv, 5),
			     number(argv, 6));
		j.repeat = number(argv, 7);
	} else if (argc == 4) {
		prepare_walk(&j, number(argv, 2), FIRST_STAGE, true, 0, 0);
		j.repeat = number(argv, 3);
		round = strcmp(argv[1], "bare") == 0 ? walk_bare : walk_checked;
	} else {
		return 1;
	}
	prepare_stream(&j);
	serve(round, &j);
	return 0;
}
