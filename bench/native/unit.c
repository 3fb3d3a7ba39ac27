// See unit.h.

#include "unit.h"

static inline bool in_interrupt_range(uint64_t address)
{
	return address >> 20 == 0xfee;
}

static inline uint32_t needed_rights(int32_t access)
{
	return (uint32_t)(access & (READ | WRITE | EXECUTE)) << ((access & PRIVILEGED) ? 4 : 0);
}

static inline struct binding *binding_slot(struct unit *u, int32_t source, int32_t pasid)
{
	uint32_t mixed = (((uint32_t)pasid * 0x9e3779b1u) >> 16) ^ (uint32_t)source ^ ((uint32_t)source >> 8);

	return &u->bindings[mixed & ((1 << BINDINGS_LG2) - 1)];
}

static inline struct binding *find_binding(struct unit *u, int32_t source, int32_t pasid)
{
	struct binding *b = binding_slot(u, source, pasid);

	return b->source == source && b->pasid == pasid && b->generation == u->generation ? b : NULL;
}

static inline struct entry *iotlb_find(struct unit *u, uint32_t tag, uint64_t address, int32_t *page_lg2)
{
	struct entry *e = cache_find(&u->pages_4k, tag, address >> 12);

	*page_lg2 = 12;
	if (e != NULL)
		return e;
	if (u->sizes_2m && (e = cache_find(&u->pages_2m, tag, address >> 21)) != NULL) {
		*page_lg2 = 21;
		return e;
	}
	if (u->sizes_1g && (e = cache_find(&u->pages_1g, tag, address >> 30)) != NULL) {
		*page_lg2 = 30;
		return e;
	}
	return NULL;
}

static bool iotlb_put(struct unit *u, uint32_t tag, uint64_t address, int32_t page_lg2, uint32_t rights, uint64_t out)
{
	uint64_t page = out & (~0ull << page_lg2);

	if (page_lg2 > 12 && out >> page_lg2 == 0xfee00000ull >> page_lg2) {
		cache_put(&u->pages_4k, tag, address >> 12, rights, out & ~0xfffull);
		return false;
	}
	if (page_lg2 == 12) {
		cache_put(&u->pages_4k, tag, address >> 12, rights, page);
	} else if (page_lg2 == 21) {
		u->sizes_2m = true;
		cache_put(&u->pages_2m, tag, address >> 21, rights, page);
	} else {
		u->sizes_1g = true;
		cache_put(&u->pages_1g, tag, address >> 30, rights, page);
	}
	return true;
}

static bool read_entry(struct unit *u, struct cursor *c, int32_t level, uint64_t pfn, uint64_t address)
{
	uint32_t index = (address >> (12 + 9 * level)) & 511;
	bool readable = pfn < u->memory->frames;

	c->level = level;
	c->pfn = pfn;
	c->at = readable ? u->memory->words + (pfn << 9) + index : NULL;
	c->value = readable ? *(volatile uint64_t *)c->at : 0;
	u->table_reads++;
	return readable;
}

static int32_t mark(struct unit *u, struct cursor *c, uint64_t bits)
{
	uint64_t expected = c->value;

	if (!__atomic_compare_exchange_n(c->at, &expected, c->value | bits, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return CHANGED;
	c->value |= bits;
	u->flag_updates++;
	return 0;
}

static bool find_structure(const struct structures *s, uint32_t tag, uint64_t address, int32_t *level, uint64_t *pfn,
			   uint32_t *rights)
{
	struct entry *e = cache_find(&s->level0, tag, address >> 21);

	*level = 0;
	if (e == NULL) {
		e = cache_find(&s->level1, tag, address >> 30);
		*level = 1;
	}
	if (e == NULL)
		return false;
	*pfn = e->out;
	*rights = e->rights;
	return true;
}

static void put_structure(const struct structures *s, uint32_t tag, uint64_t address, int32_t level, uint64_t pfn,
			  uint32_t rights)
{
	if (level == 0)
		cache_put(&s->level0, tag, address >> 21, rights, pfn);
	else if (level == 1)
		cache_put(&s->level1, tag, address >> 30, rights, pfn);
}

// The second stage.

#define SS_ACCESSED (1ull << 8)
#define SS_DIRTY (1ull << 9)
#define PAGE_SIZE_BIT (1ull << 7)

static int32_t mark_second(struct unit *u, const struct target *t, uint64_t bits)
{
	return t->snooped ? mark(u, &u->second.cursor, bits) : 0x7c;
}

static int32_t finish_second(struct unit *u, uint32_t tag, const struct target *t, uint64_t address, uint32_t need,
			     uint32_t rights)
{
	struct stage *s = &u->second;
	int32_t level = s->cursor.level;
	uint64_t entry = s->cursor.value;

	if (entry & u->second_leaf_reserved[level])
		return 0x7a;
	if ((rights & need) != need) {
		if (rights == 0)
			return 0x79;
		return (need & ~rights & WRITE) ? 0x85 : 0x86;
	}
	int32_t page_lg2 = 12 + 9 * level;
	uint64_t offset = (1ull << page_lg2) - 1;
	uint64_t out = (entry & ADDRESS & ~offset) | (address & offset);

	if (in_interrupt_range(out))
		return 0x87;
	if (t->second_flags) {
		uint64_t wanted = (need & WRITE) ? SS_ACCESSED | SS_DIRTY : SS_ACCESSED;
		int32_t code = (entry & wanted) == wanted ? 0 : mark_second(u, t, wanted);

		if (code != 0)
			return code;
		if ((s->cursor.value & SS_DIRTY) == 0)
			rights &= ~(uint32_t)WRITE;
	}
	rights |= (rights & READ) ? EXECUTE : 0;
	s->out = out;
	s->page_lg2 = page_lg2;
	s->rights = rights | rights << 4;
	if (tag != 0)
		iotlb_put(u, tag, address, page_lg2, s->rights, out);
	return 0;
}

static int32_t walk_second(struct unit *u, uint32_t tag, const struct target *t, uint64_t address, uint32_t need,
			   bool use_known)
{
	struct stage *s = &u->second;
	int32_t level = t->second_levels - 1;
	uint64_t pfn = t->second_pfn;
	uint32_t rights = READ | WRITE;
	int32_t known_level;
	uint64_t known_pfn;
	uint32_t known_rights;

	if (use_known && find_structure(&s->structures, tag, address, &known_level, &known_pfn, &known_rights)) {
		level = known_level;
		pfn = known_pfn;
		rights = known_rights;
	}
	for (;; level--) {
		if (!read_entry(u, &s->cursor, level, pfn, address))
			return level == t->second_levels - 1 ? 0x7b : 0x78;
		uint64_t entry = s->cursor.value;

		if ((entry & (READ | WRITE)) == 0)
			return 0x79;
		rights &= (uint32_t)entry;
		if (level == 0 || (level < 3 && (entry & PAGE_SIZE_BIT)))
			return finish_second(u, tag, t, address, need, rights);
		if (entry & u->second_table_reserved)
			return 0x7a;
		if (t->second_flags && (entry & SS_ACCESSED) == 0) {
			int32_t code = mark_second(u, t, SS_ACCESSED);

			if (code != 0)
				return code;
		}
		pfn = (entry & ADDRESS) >> 12;
		if (tag != 0)
			put_structure(&s->structures, tag, address, level - 1, pfn, rights);
	}
}

static int32_t walk_second_stage(struct unit *u, uint32_t tag, const struct target *t, uint64_t address, uint32_t need)
{
	int32_t bits = 12 + 9 * t->second_levels;

	if (bits > u->guest_width)
		bits = u->guest_width;
	if (address >> bits != 0)
		return 0x84;
	int32_t code = walk_second(u, tag, t, address, need, tag != 0);

	for (int tries = 0; code == CHANGED; tries++) {
		if (tries == 64)
			return 0x91;
		code = walk_second(u, tag, t, address, need, false);
	}
	return code;
}

static int32_t translate_second(struct unit *u, uint32_t tag, const struct target *t, uint64_t address, uint32_t need)
{
	struct stage *s = &u->second;

	if (tag != 0) {
		int32_t page_lg2;
		struct entry *e = iotlb_find(u, tag, address, &page_lg2);

		if (e != NULL && (e->rights & need) == need) {
			s->out = e->out | (address & ((1ull << page_lg2) - 1));
			s->page_lg2 = page_lg2;
			s->rights = e->rights;
			return 0;
		}
	}
	return walk_second_stage(u, tag, t, address, need);
}

// The first stage.

#define FS_PRESENT 1ull
#define FS_WRITABLE 2u
#define FS_USER 4u
#define FS_XD 8u
#define FS_ACCESSED (1ull << 5)
#define FS_DIRTY (1ull << 6)
#define FS_EXTENDED (1ull << 10)
#define NO_FRAME (~0ull)

static int32_t mark_first(struct unit *u, const struct target *t, uint64_t bits)
{
	if (!t->snooped)
		return 0x90;
	if (t->type == NESTED) {
		if (u->guest_pfn == NO_FRAME)
			return CHANGED;
		int32_t code = translate_second(u, u->second_tag, t, u->guest_pfn << 12, WRITE);

		if (code == 0x79 || code == 0x85)
			return 0x77;
		if (code != 0)
			return code;
	}
	return mark(u, &u->first.cursor, bits);
}

static int32_t find_table(struct unit *u, const struct target *t, int32_t level, uint64_t guest_pfn)
{
	int32_t code = translate_second(u, u->second_tag, t, guest_pfn << 12, READ);

	if (code == 0 || (code != 0x84 && code != 0x79 && code != 0x86))
		return code;
	if (code == 0x84)
		return 0x74;
	return level == t->first_levels - 1 ? 0x75 : 0x76;
}

static int32_t finish_first(struct unit *u, const struct target *t, uint64_t address, int32_t access, uint32_t rights)
{
	struct stage *s = &u->first;
	int32_t level = s->cursor.level;
	uint64_t entry = s->cursor.value;

	if (entry & u->first_leaf_reserved[level])
		return 0x72;
	bool write = access & WRITE, privileged = access & PRIVILEGED;
	bool supervisor_writes = (rights & FS_WRITABLE) || !t->write_protect;
	bool executable = !u->execute_requests || !(rights & FS_XD);

	if (!privileged && !(rights & FS_USER))
		return 0x81;
	if (write && !(privileged ? supervisor_writes : (rights & FS_WRITABLE) != 0))
		return 0x85;
	if ((access & EXECUTE) && !executable)
		return 0x82;
	int32_t page_lg2 = 12 + 9 * level;
	uint64_t offset = (1ull << page_lg2) - 1;
	uint64_t out = (entry & ADDRESS & ~offset) | (address & offset);

	if (t->type != NESTED && in_interrupt_range(out))
		return 0x87;
	uint64_t wanted = FS_ACCESSED | (t->extended_accessed ? FS_EXTENDED : 0) | (write ? FS_DIRTY : 0);
	int32_t code = (entry & wanted) == wanted ? 0 : mark_first(u, t, wanted);

	if (code != 0)
		return code;
	bool dirty = s->cursor.value & FS_DIRTY;
	uint32_t common = READ | (executable ? EXECUTE : 0);
	uint32_t user = rights & FS_USER ? common | (dirty && (rights & FS_WRITABLE) ? WRITE : 0) : 0;
	uint32_t supervisor = t->supervisor_requests ? common | (dirty && supervisor_writes ? WRITE : 0) : 0;

	s->rights = user | supervisor << 4;
	s->out = out;
	s->page_lg2 = page_lg2;
	return 0;
}

static int32_t walk_first(struct unit *u, uint32_t tag, const struct target *t, uint64_t address, int32_t access,
			  bool use_known)
{
	struct stage *s = &u->first;
	bool nested = t->type == NESTED, known = false;
	uint64_t wanted = t->extended_accessed ? FS_ACCESSED | FS_EXTENDED : FS_ACCESSED;
	int32_t level = t->first_levels - 1;
	uint64_t pfn = t->first_pfn;
	uint32_t rights = FS_WRITABLE | FS_USER;
	int32_t known_level;
	uint64_t known_pfn;
	uint32_t known_rights;

	if (use_known && find_structure(&s->structures, tag, address, &known_level, &known_pfn, &known_rights)) {
		known = true;
		level = known_level;
		pfn = known_pfn;
		rights = known_rights;
	}
	for (;; level--) {
		uint64_t guest_pfn = pfn;

		if (nested && !known) {
			int32_t code = find_table(u, t, level, guest_pfn);

			if (code != 0)
				return code;
			pfn = u->second.out >> 12;
			if (tag != 0 && level < t->first_levels - 1)
				put_structure(&s->structures, tag, address, level, pfn, rights);
		}
		u->guest_pfn = known ? NO_FRAME : guest_pfn;
		known = false;
		if (!read_entry(u, &s->cursor, level, pfn, address))
			return level == t->first_levels - 1 ? 0x73 : 0x70;
		uint64_t entry = s->cursor.value;

		if ((entry & FS_PRESENT) == 0)
			return 0x71;
		rights = (rights & ((uint32_t)entry | FS_XD)) | (entry >> 63 ? FS_XD : 0);
		if (level == 0 || (level < 3 && (entry & PAGE_SIZE_BIT)))
			return finish_first(u, t, address, access, rights);
		if (entry & u->first_table_reserved)
			return 0x72;
		if ((entry & wanted) != wanted) {
			int32_t code = mark_first(u, t, wanted);

			if (code != 0)
				return code;
		}
		pfn = (entry & ADDRESS) >> 12;
		if (tag != 0 && !nested)
			put_structure(&s->structures, tag, address, level - 1, pfn, rights);
	}
}

static int32_t translate_first(struct unit *u, uint32_t tag, const struct target *t, uint64_t address, int32_t access)
{
	int64_t sign = (int64_t)address >> (t->first_levels == 5 ? 56 : 47);

	if (sign != 0 && sign != -1)
		return 0x80;
	int32_t code = walk_first(u, tag, t, address, access, tag != 0);

	for (int tries = 0; code == CHANGED; tries++) {
		if (tries == 64)
			return 0x91;
		code = walk_first(u, tag, t, address, access, false);
	}
	return code;
}

// Device tables, scalable mode.

static const uint64_t *structure(struct unit *u, uint64_t pfn, uint64_t offset)
{
	u->structure_reads++;
	pfn += offset >> 12;
	return pfn < u->memory->frames ? u->memory->words + (pfn << 9) + ((offset & 0xfff) >> 3) : NULL;
}

static int32_t read_context(struct unit *u, struct context *line, int32_t source)
{
	const uint64_t *half = structure(u, u->root_pfn, (uint64_t)(source >> 8) * 16 + (source & 0x80 ? 8 : 0));

	if (half == NULL)
		return 0x38;
	if (!(half[0] & 1))
		return 0x39;
	if (half[0] & 0xffe)
		return 0x3a;
	const uint64_t *entry = structure(u, half[0] >> 12, (uint64_t)(source & 0x7f) * 32);

	if (entry == NULL)
		return 0x40;
	u->fpd |= (entry[0] >> 1) & 1;
	if (!(entry[0] & 1))
		return 0x41;
	if ((entry[0] & 0x1e0) | (entry[1] & ~0x1fffffull) | entry[2] | entry[3])
		return 0x42;
	line->fpd = entry[0] & 2;
	line->device_tlb = entry[0] & 4;
	line->pasids = entry[0] & 8;
	line->pasid_limit = 1 << (((entry[0] >> 9) & 7) + 13);
	line->pfn = (entry[0] & ADDRESS) >> 12;
	line->rid_pasid = entry[1] & 0xfffff;
	line->rid_privileged = (entry[1] >> 20) & 1;
	return 0;
}

static int32_t find_context(struct unit *u, int32_t source)
{
	struct context *line = u->cached ? &u->contexts[(source ^ (source >> 8)) & ((1 << CONTEXTS_LG2) - 1)]
					 : &u->loose_context;

	u->context = line;
	if (u->cached && line->source == source)
		return 0;
	line->source = -1;
	int32_t code = read_context(u, line, source);

	if (code == 0)
		line->source = source;
	return code;
}

static int32_t read_pasid_entry(struct unit *u, struct target *t, int32_t pasid)
{
	const uint64_t *directory = structure(u, u->context->pfn, (uint64_t)(pasid >> 6) * 8);

	if (directory == NULL)
		return 0x50;
	u->fpd |= (directory[0] >> 1) & 1;
	if (!(directory[0] & 1))
		return 0x51;
	if (directory[0] & 0xffc)
		return 0x52;
	const uint64_t *entry = structure(u, directory[0] >> 12, (uint64_t)(pasid & 63) * 64);

	if (entry == NULL)
		return 0x58;
	u->fpd |= (entry[0] >> 1) & 1;
	if (!(entry[0] & 1))
		return 0x59;
	if ((entry[0] & 0xc20) | (entry[1] & ~0x180ffffull) | (entry[2] & 0xf42) | entry[3] | entry[4] | entry[5] |
	    entry[6] | entry[7])
		return 0x5a;
	int32_t type = (entry[0] >> 6) & 7, width = (entry[0] >> 2) & 7, mode = (entry[2] >> 2) & 3;

	if (type < FIRST_STAGE || type > PASS_THROUGH)
		return 0x5b;
	if ((type == FIRST_STAGE || type == NESTED) && mode > 1)
		return 0x5b;
	if ((type == SECOND_STAGE || type == NESTED) && (width < 2 || width > 3))
		return 0x5b;
	t->type = type;
	t->pasid = pasid;
	t->fpd = (directory[0] | entry[0]) & 2;
	t->domain = entry[1] & 0xffff;
	t->second_levels = width + 2;
	t->second_pfn = (entry[0] & ADDRESS) >> 12;
	t->second_flags = (entry[0] >> 9) & 1;
	t->snooped = (entry[1] >> 23) & 1;
	t->first_levels = mode + 4;
	t->first_pfn = (entry[2] & ADDRESS) >> 12;
	t->supervisor_requests = entry[2] & 1;
	t->write_protect = (entry[2] >> 4) & 1;
	t->extended_accessed = (entry[2] >> 7) & 1;
	return 0;
}

static int32_t resolve(struct unit *u, const struct request *r)
{
	int32_t code = find_context(u, r->source);

	if (code != 0)
		return code;
	const struct context *c = u->context;

	u->fpd |= c->fpd;
	if (r->type != UNTRANSLATED && !c->device_tlb)
		return 0x44;
	if (r->pasid != NO_PASID) {
		if (!c->pasids)
			return 0x45;
		if (r->pasid >= c->pasid_limit || r->pasid >= 1 << u->pasid_bits)
			return 0x46;
	} else if (c->rid_pasid >= c->pasid_limit) {
		return 0x48;
	}
	int32_t pasid = r->pasid == NO_PASID ? c->rid_pasid : r->pasid;
	struct pasid_line *line =
		u->cached ? &u->pasids[(((uint32_t)r->source ^ ((uint32_t)pasid * 0x2c1b3c6du)) * 0x9e3779b1u) >>
				       (32 - PASIDS_LG2)]
			  : &u->loose_pasid;

	if (!u->cached || line->source != r->source || line->pasid != pasid) {
		line->source = -1;
		code = read_pasid_entry(u, &line->target, pasid);
		if (code != 0)
			return code;
		line->source = r->source;
		line->pasid = pasid;
	}
	u->target = &line->target;
	u->fpd |= line->target.fpd;
	return 0;
}

// A request that the IOTLB could not answer at once.

static int32_t refused_access(const struct target *t)
{
	return t->type == SECOND_STAGE || t->supervisor_requests ? 0 : PRIVILEGED;
}

static struct binding *bind(struct unit *u, const struct target *t, const struct request *r, int32_t extra)
{
	struct binding *b = binding_slot(u, r->source, r->pasid);

	b->source = r->source;
	b->pasid = r->pasid;
	b->generation = u->generation;
	b->second_tag = t->type == FIRST_STAGE ? 0 : u->second_tags[t->domain & 7];
	b->tag = t->type == SECOND_STAGE ? b->second_tag : u->first_tags[t->pasid & 7];
	b->extra_access = extra;
	b->refused_access = refused_access(t);
	b->fpd = u->fpd;
	b->target = *t;
	return b;
}

static void answer(struct request *r, uint64_t out, int32_t page_lg2, int32_t access)
{
	r->out = out;
	r->page_lg2 = page_lg2;
	r->granted = access & (READ | WRITE | EXECUTE);
}

static int32_t walk(struct unit *u, struct request *r, const struct target *t, int32_t access, uint32_t tag,
		    uint32_t second_tag)
{
	uint32_t read_write = (uint32_t)access & (READ | WRITE);

	u->walks++;
	u->tag = tag;
	u->second_tag = second_tag;
	if (t->type == SECOND_STAGE) {
		int32_t code = walk_second_stage(u, u->tag, t, r->address, read_write);

		if (code == 0)
			answer(r, u->second.out, u->second.page_lg2, access);
		return code;
	}
	if (access & refused_access(t))
		return 0x5d;
	int32_t code = translate_first(u, u->tag, t, r->address, access);

	if (code != 0)
		return code;
	uint64_t out = u->first.out;
	int32_t page_lg2 = u->first.page_lg2;
	uint32_t rights = u->first.rights;

	if (t->type == NESTED) {
		code = translate_second(u, u->second_tag, t, out, read_write);
		if (code != 0)
			return code;
		out = u->second.out;
		page_lg2 = u->second.page_lg2 < page_lg2 ? u->second.page_lg2 : page_lg2;
		rights &= u->second.rights;
	}
	if (u->tag != 0)
		iotlb_put(u, u->tag, r->address, page_lg2, rights, out);
	answer(r, out, page_lg2, access);
	return 0;
}

static int32_t find_code(struct unit *u, struct request *r)
{
	int32_t code = resolve(u, r);

	if (code != 0)
		return code;
	if (r->pasid == NO_PASID && in_interrupt_range(r->address))
		return 0x87;
	if (r->type == TRANSLATED) {
		answer(r, r->address, 64, r->access);
		return 0;
	}
	const struct target *t = u->target;
	int32_t access = u->execute_requests ? r->access : r->access & ~EXECUTE;

	if (r->pasid == NO_PASID && u->context->rid_privileged)
		access |= PRIVILEGED;
	if (t->type == PASS_THROUGH) {
		if (r->address >> u->host_width)
			return 0x83;
		if (in_interrupt_range(r->address))
			return 0x87;
		answer(r, r->address, 64, access);
		return 0;
	}
	struct binding *b = NULL;

	if (u->cached) {
		int32_t page_lg2;
		uint32_t need = needed_rights(access);

		b = bind(u, t, r, access & ~r->access);
		struct entry *e = iotlb_find(u, b->tag, r->address, &page_lg2);

		if (e != NULL && (e->rights & need) == need && (access & b->refused_access) == 0) {
			answer(r, e->out | (r->address & ((1ull << page_lg2) - 1)), page_lg2, access);
			return 0;
		}
	}
	return walk(u, r, t, access, b == NULL ? 0 : b->tag, b == NULL ? 0 : b->second_tag);
}

static __attribute__((noinline)) bool translate_from_tables(struct unit *u, struct request *r)
{
	r->fault = 0;
	r->granted = 0;
	if (!u->enabled) {
		answer(r, r->address, 64, r->access);
		return true;
	}
	u->fpd = false;
	r->fault = find_code(u, r);
	return r->fault == 0;
}

/** For a request whose binding is known and that the IOTLB has no answer for. */
static __attribute__((noinline)) bool translate_bound(struct unit *u, struct request *r, const struct binding *b)
{
	int32_t known = u->execute_requests ? r->access : r->access & ~EXECUTE;

	u->fpd = b->fpd;
	r->fault = walk(u, r, &b->target, known | b->extra_access, b->tag, b->second_tag);
	return r->fault == 0;
}

__attribute__((noinline)) bool translate(struct unit *u, struct request *r)
{
	if (u->cached && u->enabled && r->type == UNTRANSLATED && !in_interrupt_range(r->address)) {
		struct binding *b = find_binding(u, r->source, r->pasid);

		if (b != NULL) {
			int32_t access = r->access | b->extra_access;
			uint32_t need = needed_rights(access);
			int32_t page_lg2;
			struct entry *e = iotlb_find(u, b->tag, r->address, &page_lg2);

			if (e != NULL && (e->rights & need) == need && (access & b->refused_access) == 0) {
				r->out = e->out | (r->address & ((1ull << page_lg2) - 1));
				r->page_lg2 = page_lg2;
				r->granted = r->access & (READ | WRITE);
				r->fault = 0;
				return true;
			}
			return translate_bound(u, r, b);
		}
	}
	return translate_from_tables(u, r);
}

__attribute__((noinline)) bool walk_tables(struct unit *u, const struct target *t, uint64_t address, int32_t access,
					   uint64_t *out)
{
	if (translate_first(u, 0, t, address, access) != 0)
		return false;
	*out = u->first.out;
	return true;
}

static void drop(const struct cache *c, uint32_t tag, uint64_t key)
{
	struct entry *e = cache_find(c, tag, key);

	if (e != NULL)
		e->tag = 0;
}

__attribute__((noinline)) void invalidate_page(struct unit *u, uint32_t pasid, uint64_t address, bool hint)
{
	uint32_t tag = u->first_tags[pasid & 7];

	drop(&u->pages_4k, tag, address >> 12);
	if (u->sizes_2m)
		drop(&u->pages_2m, tag, address >> 21);
	if (u->sizes_1g)
		drop(&u->pages_1g, tag, address >> 30);
	if (hint)
		return;
	for (int stage = 0; stage < 2; stage++) {
		const struct structures *s = stage == 0 ? &u->first.structures : &u->second.structures;

		drop(&s->level0, tag, address >> 21);
		drop(&s->level1, tag, address >> 30);
	}
}

static struct cache create_cache(uint32_t lg2)
{
	return (struct cache){ .entries = aligned_alloc(64, lg2 == 0 ? 64 : sizeof(struct entry) << lg2), .lg2 = lg2 };
}

static void clear_cache(const struct cache *c)
{
	memset(c->entries, 0, sizeof(struct entry) << c->lg2);
}

struct unit *create_unit(struct memory *memory, bool cached, uint32_t iotlb_lg2, uint32_t structures_lg2)
{
	struct unit *u = calloc(1, sizeof(*u));
	uint32_t large = iotlb_lg2 < 2 ? 0 : iotlb_lg2 - 2;

	u->memory = memory;
	u->cached = cached;
	u->enabled = true;
	u->host_width = 52;
	u->guest_width = 57;
	u->pasid_bits = 20;
	u->generation = 1;
	u->pages_4k = create_cache(iotlb_lg2);
	u->pages_2m = create_cache(large);
	u->pages_1g = create_cache(large);
	u->first.structures = (struct structures){ create_cache(structures_lg2), create_cache(structures_lg2) };
	u->second.structures = (struct structures){ create_cache(structures_lg2), create_cache(structures_lg2) };
	const struct cache *caches[] = { &u->pages_4k, &u->pages_2m, &u->pages_1g, &u->first.structures.level0,
					 &u->first.structures.level1, &u->second.structures.level0,
					 &u->second.structures.level1 };

	for (size_t i = 0; i < sizeof(caches) / sizeof(*caches); i++)
		clear_cache(caches[i]);
	for (int i = 0; i < 1 << CONTEXTS_LG2; i++)
		u->contexts[i].source = -1;
	for (int i = 0; i < 1 << PASIDS_LG2; i++)
		u->pasids[i].source = -1;
	// Bit 7 is a leaf's at levels 1 and 2 and reserved in tables above.
	u->first_table_reserved = 1ull << 7;
	u->first_leaf_reserved[1] = 0x1fe000;
	u->first_leaf_reserved[2] = 0x3fffe000;
	u->second_table_reserved = 1ull << 11 | 1ull << 7 | 1ull << 62;
	u->second_leaf_reserved[0] = 1ull << 62;
	u->second_leaf_reserved[1] = 1ull << 62 | 0x1ff000;
	u->second_leaf_reserved[2] = 1ull << 62 | 0x3ffff000;
	return u;
}
