// The IOTLB as a hash table with allocated keys, the way QEMU's units keep it: GLib's GHashTable,
// keys and entries from the allocator, a lock, and one probe for each page size that may hold the
// address. hash-table JOB KEYS IOTLB_LG2 PAGE_LG2 REPEAT with JOB look-up, invalidate or domain.

#include <glib.h>
#include <pthread.h>

#include "round.h"

#define LEVEL_SHIFT 60
#define PASID_SHIFT 52
#define LEVELS 3

struct page {
	uint64_t vfn;
	uint32_t pasid;
	uint32_t domain;
	uint64_t pfn;
	uint64_t mask;
	uint32_t rights;
};

struct job {
	GHashTable *table;
	pthread_mutex_t lock;
	struct key *keys;
	uint32_t count;
	uint32_t *stream;
	uint32_t repeat;
	uint32_t page_lg2;
};

/** A page to drop. */
struct wanted {
	uint64_t vfn;
	uint64_t mask;
	uint32_t pasid;
	uint32_t domain;
};

static guint hash_key(gconstpointer p)
{
	return (guint)*(const uint64_t *)p;
}

static gboolean same_key(gconstpointer a, gconstpointer b)
{
	return *(const uint64_t *)a == *(const uint64_t *)b;
}

static uint64_t key_of(uint32_t pasid, uint64_t vfn, uint32_t level)
{
	return vfn >> (9 * level) | (uint64_t)pasid << PASID_SHIFT | (uint64_t)level << LEVEL_SHIFT;
}

static void insert(struct job *j, const struct key *k)
{
	uint32_t level = (j->page_lg2 - 12) / 9;
	uint64_t *key = g_malloc(sizeof(*key));
	struct page *page = g_malloc(sizeof(*page));

	*key = key_of(k->pasid, k->vfn, level);
	*page = (struct page){ k->vfn, k->pasid, 1, k->vfn - FIRST_VFN + FIRST_PFN, ~0ull << (9 * level), 3 };
	g_hash_table_replace(j->table, key, page);
}

static __attribute__((noinline)) bool look_up(struct job *j, uint32_t pasid, uint64_t vfn, uint64_t *out)
{
	struct page *page = NULL;

	pthread_mutex_lock(&j->lock);
	for (uint32_t level = 0; level < LEVELS && page == NULL; level++) {
		uint64_t key = key_of(pasid, vfn, level);

		page = g_hash_table_lookup(j->table, &key);
	}
	bool granted = page != NULL && (page->rights & 1);

	if (granted)
		*out = page->pfn | (vfn & ~page->mask);
	pthread_mutex_unlock(&j->lock);
	return granted;
}

static struct result look_up_stream(void *p)
{
	struct job *j = p;
	uint32_t sum = 0;
	double start = now_ns(), ns = 0;

	for (uint32_t first = 0; first < STREAM * j->repeat; first += SLICE) {
		for (uint32_t i = first & (STREAM - 1); i < (first & (STREAM - 1)) + SLICE; i++) {
			const struct key *key = &j->keys[j->stream[i]];
			uint64_t out;

			if (!look_up(j, key->pasid, key->vfn, &out))
				exit(2);
			sum += (uint32_t)out;
		}
		start = end_slice(start, SLICE, &ns);
	}
	return (struct result){ ns, sum, 0 };
}

static gboolean is_wanted_page(gpointer key, gpointer value, gpointer user)
{
	const struct page *page = value;
	const struct wanted *w = user;

	(void)key;
	return page->domain == w->domain && page->pasid == w->pasid &&
	       ((page->vfn & w->mask) == (w->vfn & w->mask) || (page->vfn & page->mask) == (w->vfn & page->mask));
}

static gboolean is_in_domain(gpointer key, gpointer value, gpointer user)
{
	(void)key;
	return ((const struct page *)value)->domain == ((const struct wanted *)user)->domain;
}

static struct result invalidate_stream(void *p)
{
	struct job *j = p;
	uint32_t batch = j->count >= 16384 ? 8 : 64;
	double ns = 0;

	for (uint32_t n = 0; n < j->repeat; n++) {
		double start = now_ns();

		for (uint32_t i = 0; i < batch; i++) {
			const struct key *key = &j->keys[(i * 4 + n) % j->count];
			struct wanted w = { key->vfn, ~0ull, key->pasid, 1 };

			pthread_mutex_lock(&j->lock);
			g_hash_table_foreach_remove(j->table, is_wanted_page, &w);
			pthread_mutex_unlock(&j->lock);
		}
		end_slice(start, batch, &ns);
		for (uint32_t i = 0; i < batch; i++)
			insert(j, &j->keys[(i * 4 + n) % j->count]);
	}
	return (struct result){ ns, 0, 0 };
}

static struct result invalidate_domain(void *p)
{
	struct job *j = p;
	double ns = 0;

	for (uint32_t n = 0; n < j->repeat; n++) {
		struct wanted w = { .domain = 1 };
		double start = now_ns();

		pthread_mutex_lock(&j->lock);
		g_hash_table_foreach_remove(j->table, is_in_domain, &w);
		pthread_mutex_unlock(&j->lock);
		end_slice(start, 1, &ns);
		for (uint32_t i = 0; i < j->count; i++)
			insert(j, &j->keys[i]);
	}
	return (struct result){ ns, 0, 0 };
}

int main(int argc, char **argv)
{
	struct job j = { .lock = PTHREAD_MUTEX_INITIALIZER };
	uint32_t state = 1;

	if (argc != 6)
		return 1;
	j.count = (uint32_t)strtoul(argv[2], NULL, 10);
	j.page_lg2 = (uint32_t)strtoul(argv[4], NULL, 10);
	j.repeat = (uint32_t)strtoul(argv[5], NULL, 10);
	uint32_t lg2 = (uint32_t)strtoul(argv[3], NULL, 10);

	j.keys = resident_keys(j.count, j.page_lg2 == 12 ? lg2 : lg2 - 2, j.page_lg2, 1 << 20);
	j.table = g_hash_table_new_full(hash_key, same_key, g_free, g_free);
	for (uint32_t i = 0; i < j.count; i++)
		insert(&j, &j.keys[i]);
	j.stream = malloc(STREAM * sizeof(*j.stream));
	for (uint32_t i = 0; i < STREAM; i++)
		j.stream[i] = random_below(&state, j.count);
	if (strcmp(argv[1], "look-up") == 0)
		serve(look_up_stream, &j);
	else if (strcmp(argv[1], "invalidate") == 0)
		serve(invalidate_stream, &j);
	else
		serve(invalidate_domain, &j);
	return 0;
}
