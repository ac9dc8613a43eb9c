/* How long system calls take, by samples: entries are looked at only while a window is open, and a
 * call that was entered in one is measured when it returns, however much later that is. */
#ifndef SHIELDX_DURATIONS_H
#define SHIELDX_DURATIONS_H

/* Set by user space, which opens a window and closes it after a while; a flood of calls closes it
 * sooner. */
struct {
	DECLARE_INT(type, BPF_MAP_TYPE_ARRAY);
	DECLARE_INT(max_entries, 1);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct window);
} windows SEC(".maps");

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_ARRAY);
	DECLARE_INT(max_entries, 1);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct sampling);
} samplings SEC(".maps");

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_ARRAY);
	DECLARE_INT(max_entries, RECIPES_LEN);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct duration);
} durations SEC(".maps");

/* A thread that was met in a window, until it exits, so that its next calls need no allocation. By
 * the task's address: a thread that execs takes another one's number. */
struct flight {
	u64 start_ns; /* 0: in no call that is sampled */
	u64 nr;
};

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_HASH);
	DECLARE_INT(max_entries, FLIGHTS_LEN);
	DECLARE_INT(map_flags, BPF_F_NO_PREALLOC);
	DECLARE_TYPE(key, u64);
	DECLARE_TYPE(value, struct flight);
} flights SEC(".maps");

/* Upper bounds of the buckets, in the order of their numbers; the last has none. */
const volatile u64 duration_bounds[DURATION_BUCKETS - 1] = {};

INLINE struct sampling *get_sampling(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&samplings, &zero);
}

INLINE struct window *get_window(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&windows, &zero);
}

INLINE u32 number_of_window(struct window *window)
{
	return window ? *(volatile u32 *)&window->number : 0;
}

/* Takes a call's place in the window of this number; whoever takes the last closes it, so that what
 * a flood costs does not grow with its speed. */
INLINE bool enter_window(struct window *window, u32 number)
{
	s32 left = __sync_fetch_and_add(&window->left, -1);
	if (left <= 1)
		__sync_val_compare_and_swap(&window->number, number, number + 1);
	return left > 0;
}

/* Counts one call. */
INLINE void count_duration(u32 nr, u64 length_ns)
{
	struct duration *d = bpf_map_lookup_elem(&durations, &nr);
	if (!d)
		return;
	u32 bucket = 0;
	for (u32 i = 0; i < DURATION_BUCKETS - 1; i++)
		bucket += length_ns > duration_bounds[i];
	if (bucket >= DURATION_BUCKETS)
		return;
	__sync_fetch_and_add(&d->sum_ns, length_ns);
	__sync_fetch_and_add(&d->buckets[bucket], 1);
}

/* The current task's call returned: measures it when it was entered in a window. `counted` is
 * where it is counted; a negative number is a return that belongs to no call. */
APART int land(s64 number, u64 counted)
{
	u64 task = bpf_get_current_task();
	struct sampling *books = get_sampling();
	struct flight *flight = bpf_map_lookup_elem(&flights, &task);
	if (!books || !flight || !flight->start_ns)
		return 0;
	u64 length_ns = bpf_ktime_get_ns() - flight->start_ns;
	flight->start_ns = 0;
	if (number < 0 || flight->nr != (u64)number) {
		__sync_fetch_and_add(&books->unmatched, 1);
		return 0;
	}
	count_duration(counted, length_ns);
	return 0;
}

/* The current task ends, and what it was in the middle of never returns. */
INLINE void forget_flight(u64 task)
{
	struct sampling *books = get_sampling();
	if (!books || !number_of_window(get_window()))
		return;
	struct flight *flight = bpf_map_lookup_elem(&flights, &task);
	if (!flight)
		return;
	if (flight->start_ns)
		__sync_fetch_and_add(&books->unmatched, 1);
	if (!bpf_map_delete_elem(&flights, &task))
		__sync_fetch_and_add(&books->threads, -1);
}

/* The current task's call returned. A task that was in no sampled call when a window had closed is in
 * none until the next one opens, so after the first look at it this costs two loads. */
INLINE void sample(struct here *here, struct task_struct *task, long number, long ret)
{
	u32 window = number_of_window(get_window());
	if (!(window & 1) && (here->window == window || !window))
		return;
	here->window = window;
	u64 counted = number;
	if (counted >= RECIPES_LEN || task->thread_info.status & TS_COMPAT)
		counted = CALLS_OTHER;
	land(interrupted(ret) ? -1 : number, counted);
}

/* args: registers, number. Attached while a window is open, and to be closed at once by its number.
 * A call that never returns is not begun: the exits, and the return from a signal handler, which
 * comes back as whatever the signal interrupted. The time is taken last. */
SEC("raw_tp/sys_enter")
int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct sampling *books = get_sampling();
	struct control *c = get_control();
	struct here *here = get_here();
	struct window *window = get_window();
	if (!books || !c || !here || !window)
		return 0;
	u32 number = number_of_window(window);
	if (!(number & 1))
		return 0;
	u64 task = bpf_get_current_task();
	if ((here->task != task || here->exits != c->exits) && !watched(c))
		return 0;
	u64 nr = ctx->args[1];
	if (nr == NR_EXIT || nr == NR_EXIT_GROUP || nr == NR_RT_SIGRETURN ||
	    !enter_window(window, number))
		return 0;
	struct flight *flight = bpf_map_lookup_elem(&flights, &task);
	if (!flight) {
		struct flight none = {};
		if (!bpf_map_update_elem(&flights, &task, &none, BPF_NOEXIST))
			__sync_fetch_and_add(&books->threads, 1);
		flight = bpf_map_lookup_elem(&flights, &task);
		if (!flight) {
			__sync_fetch_and_add(&books->untracked, 1);
			return 0;
		}
	}
	__sync_fetch_and_add(&books->entered, 1);
	if (flight->start_ns)
		__sync_fetch_and_add(&books->unmatched, 1);
	flight->nr = nr;
	flight->start_ns = bpf_ktime_get_ns();
	return 0;
}

#endif
