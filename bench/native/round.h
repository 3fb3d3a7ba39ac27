// What the programs of this folder share: the rounds that the runner asks for, the clock, the
// stream of requests, and physical memory. The TypeScript side has the same stream in stream.ts.

#ifndef ROUND_H
#define ROUND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/** Requests of a stream. */
#define STREAM 65536u
/** The first page of everything that is mapped, as a frame number: 64 GiB, so that both halves of an address matter. */
#define FIRST_VFN 0x1000000ull
/** What it is mapped to: 4 GiB and up, out of the way of the interrupt range. */
#define FIRST_PFN 0x100000ull

/** Requests timed together. The quickest slice counts: a long round always meets something else that runs. */
#define SLICE 8192u

struct result {
	/** Nanoseconds for one operation, in the quickest slice. */
	double ns;
	/** Sum of the output frames: the TypeScript side must find the same. */
	uint32_t sum;
	/** Page-table entries read for one operation. */
	double reads;
};

static inline double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/** Ends a slice that began at `start`; @returns when the next one begins */
static inline double end_slice(double start, double operations, double *quickest)
{
	double end = now_ns(), ns = (end - start) / operations;

	if (*quickest == 0 || ns < *quickest)
		*quickest = ns;
	return end;
}

/** xorshift32. */
static inline uint32_t next_random(uint32_t *state)
{
	uint32_t x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/** A number below `limit`. */
static inline uint32_t random_below(uint32_t *state, uint32_t limit)
{
	return next_random(state) % limit;
}

/** Says that all is ready, and runs a round for each line of standard input. */
static inline void serve(struct result (*round)(void *), void *job)
{
	char line[64];

	for (int i = 0; i < 3; i++)
		round(job);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct result r = round(job);

		printf("%.4f %u %.4f\n", r.ns, r.sum, r.reads);
		fflush(stdout);
	}
}

struct memory {
	uint64_t *words;
	uint64_t frames;
	/** Table pages given out so far. */
	uint64_t given;
};

static inline struct memory create_memory(uint64_t frames)
{
	void *p = mmap(NULL, frames << 12, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return (struct memory){ .words = p, .frames = frames };
}

/** A frame for a table; they lie all over the memory, as a kernel's do. `frames` is a power of two. */
static inline uint64_t allocate_frame(struct memory *m)
{
	return (++m->given * 509) & (m->frames - 1);
}

static inline uint64_t *frame_words(const struct memory *m, uint64_t pfn)
{
	return m->words + (pfn << 9);
}

/** A key of the direct-mapped translation cache. */
struct key {
	uint32_t pasid;
	uint64_t vfn;
};

/** The tag of the `n`-th address space; tags are odd. */
static inline uint32_t space_tag(uint32_t n)
{
	return (2 * n + 1) * 0x9e3779b1u;
}

static inline uint32_t cache_slot(uint32_t tag, uint64_t key, uint32_t lg2)
{
	uint32_t low = (uint32_t)key;

	return (low ^ (low >> 10)) * tag & ((1u << lg2) - 1);
}

/**
 * `count` different keys that a direct-mapped cache of 2^`lg2` entries holds all at once, on pages
 * of 2^`page_lg2` bytes in `space` frames, for PASIDs 1 to 4, which are the first address spaces.
 */
static inline struct key *resident_keys(uint32_t count, uint32_t lg2, uint32_t page_lg2, uint32_t space)
{
	uint32_t candidates = count * 2, state = 1, kept = 0;
	struct key *keys = malloc(candidates * sizeof(*keys));
	int64_t *last = malloc(sizeof(*last) << lg2);

	memset(last, 0xff, sizeof(*last) << lg2);
	for (uint32_t i = 0; i < candidates; i++) {
		uint32_t page = random_below(&state, space >> (page_lg2 - 12)) << (page_lg2 - 12);

		keys[i] = (struct key){ 1 + (i & 3), FIRST_VFN + page };
		last[cache_slot(space_tag(keys[i].pasid), keys[i].vfn >> (page_lg2 - 12), lg2)] = i;
	}
	// Of equal keys and of those that share a slot the last stays.
	for (uint32_t i = 0; i < candidates && kept < count; i++)
		if (last[cache_slot(space_tag(keys[i].pasid), keys[i].vfn >> (page_lg2 - 12), lg2)] == i)
			keys[kept++] = keys[i];
	if (kept < count) {
		fprintf(stderr, "only %u of %u keys\n", kept, count);
		exit(1);
	}
	free(last);
	return keys;
}

#endif
