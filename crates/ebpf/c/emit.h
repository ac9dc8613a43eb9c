/* Hands a finished record to user space, and holds the writer back when the ring runs full: the
 * books of every type (seen = sent + dropped + aggregated) are kept here. */
#ifndef SHIELDX_EMIT_H
#define SHIELDX_EMIT_H

#define WAIT_AT_MARK_NS 2000000
#define WAIT_AT_FULL_NS 20000000
/* A consumer that makes no progress for this long may be waiting for this very CPU. */
#define STUCK_AT_MARK_NS 100000
#define STUCK_AT_FULL_NS 10000000

const volatile u32 critical_len = 4194304;
const volatile u32 bulk_len = 4194304;

struct waiting {
	u64 until;
	u64 stuck_after;
	u64 stuck_ns;
	u64 consumed;
	u64 enough;
	u32 is_bulk;
	u32 pad;
};

INLINE u64 query(u32 is_bulk, u64 what)
{
	if (is_bulk)
		return bpf_ringbuf_query(&bulk, what);
	return bpf_ringbuf_query(&critical, what);
}

static long wait_step(u32 index, struct waiting *w)
{
	if (query(w->is_bulk, BPF_RB_AVAIL_DATA) < w->enough)
		return 1;
	u64 now = bpf_ktime_get_ns();
	if (now > w->until)
		return 1;
	u64 consumed = query(w->is_bulk, BPF_RB_CONS_POS);
	if (consumed != w->consumed) {
		w->consumed = consumed;
		w->stuck_after = now + w->stuck_ns;
	} else if (now > w->stuck_after) {
		return 1;
	}
	return 0;
}

APART int wait_for_room(u32 is_bulk, u32 enough, u64 wait_ns, u64 stuck_ns)
{
	if (cpus < 2)
		return 0;
	u64 now = bpf_ktime_get_ns();
	struct waiting w = {
		.until = now + wait_ns,
		.stuck_after = now + stuck_ns,
		.stuck_ns = stuck_ns,
		.consumed = query(is_bulk, BPF_RB_CONS_POS),
		.enough = enough,
		.is_bulk = is_bulk,
	};
	bpf_loop(1 << 22, wait_step, &w, 0);
	return 0;
}

INLINE long output(u32 is_bulk, void *data, u32 len, u64 flags)
{
	if (is_bulk)
		return bpf_ringbuf_output(&bulk, data, len, flags);
	return bpf_ringbuf_output(&critical, data, len, flags);
}

/* Sends `len` bytes of `r` and enters them in the books. */
INLINE void emit_bytes(struct record *r, u32 len, u32 is_bulk)
{
	struct counters *books = get_counters(r->kind);
	if (!books)
		return;
	books->seen++;
	if (r->flags & RECORD_TRUNCATED)
		books->truncated++;

	u32 size = is_bulk ? bulk_len : critical_len;
	u64 waiting_len = query(is_bulk, BPF_RB_AVAIL_DATA);
	u64 wakeup = waiting_len > size / 8 || r->urgent ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	if (waiting_len > size / 4 * 3) {
		books->throttled++;
		wait_for_room(is_bulk, size / 2, WAIT_AT_MARK_NS, STUCK_AT_MARK_NS);
	}
	long failed = output(is_bulk, r, len, wakeup);
	if (failed) {
		books->throttled++;
		wait_for_room(is_bulk, size / 2, WAIT_AT_FULL_NS, STUCK_AT_FULL_NS);
		failed = output(is_bulk, r, len, BPF_RB_FORCE_WAKEUP);
	}
	if (failed)
		books->dropped++;
	else
		books->sent++;
}

/* Sends the record under construction. */
APART int emit(u32 which, u32 is_bulk)
{
	struct scratch *s = get_scratch(which);
	if (!s)
		return 0;
	u32 len = s->record.data_len;
	if (len > DATA_LEN_MAX)
		return 0;
	emit_bytes(&s->record, sizeof(struct record) + len, is_bulk);
	return 0;
}

#endif
