/* Maps and what is set before the programs are loaded. */
#ifndef SHIELDX_STATE_H
#define SHIELDX_STATE_H

/* One recipe per system call number; filled in by the loader. */
const volatile struct recipe recipes[RECIPES_LEN] = {};
/* Bit n: a call that fails with errno n may have been refused by the policy. */
const volatile u64 refusal_errnos[2] = {};
/* On a single CPU nobody can drain a ring while a program waits. */
const volatile u32 cpus = 1;

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_ARRAY);
	DECLARE_INT(max_entries, 1);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct control);
} control SEC(".maps");

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	DECLARE_INT(max_entries, KIND_COUNT);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct counters);
} counters SEC(".maps");

/* The ring sizes are set by the loader. */
struct {
	DECLARE_INT(type, BPF_MAP_TYPE_RINGBUF);
	DECLARE_INT(max_entries, 4194304);
} critical SEC(".maps");

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_RINGBUF);
	DECLARE_INT(max_entries, 4194304);
} bulk SEC(".maps");

/* A record under construction. Tracepoints run with preemption off and a program does not nest in
 * itself, so one per CPU and program is enough. */
#define IN_SYSCALL 0
#define IN_EXEC 1

struct scratch {
	struct record record;
	u8 data[DATA_LEN_MAX];
};

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	DECLARE_INT(max_entries, 2);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct scratch);
} scratches SEC(".maps");

/* Writes and sends are counted per process and file (or socket, peer and errno). */
struct total_key {
	u64 start_ns;
	u64 ino;
	u64 peer[2];
	u32 tgid;
	u32 generation;
	u32 device;
	s32 error;
	u32 port;
	u32 pad;
};

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_HASH);
	DECLARE_INT(max_entries, TOTALS_LEN);
	DECLARE_INT(map_flags, BPF_F_NO_PREALLOC);
	DECLARE_TYPE(key, struct total_key);
	DECLARE_TYPE(value, u32);
} total_index SEC(".maps");

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_ARRAY);
	DECLARE_INT(max_entries, TOTALS_LEN);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct total);
} totals SEC(".maps");

/* `struct here` is in abi.h: user space reads its counts. */
#define UNINTERESTING 0xfffffffe
#define WINDOW_UNKNOWN 0xffffffff

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	DECLARE_INT(max_entries, 1);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct here);
} heres SEC(".maps");

/* Executable memory without a file behind it, or writable as well. */
struct range {
	u64 start;
	u64 end; /* 0: unused */
	u64 told;
};

struct ranges {
	struct range list[RANGES_PER_TASK];
	u32 next;
	u32 pad;
};

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_HASH);
	DECLARE_INT(max_entries, 4096);
	DECLARE_INT(map_flags, BPF_F_NO_PREALLOC);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct ranges);
} ranges SEC(".maps");

/* Tasks whose current call a guard refuses and has told of, with the number of the call. */
struct {
	DECLARE_INT(type, BPF_MAP_TYPE_HASH);
	DECLARE_INT(max_entries, 4096);
	DECLARE_INT(map_flags, BPF_F_NO_PREALLOC);
	DECLARE_TYPE(key, u64);
	DECLARE_TYPE(value, u64);
} denied SEC(".maps");

/* What the kernel resolved for the call that a task is in, where it was captured (capture.bpf.c). */
struct resolved {
	u64 inode; /* of the file being opened */
	u32 nr;
	u32 len[2]; /* of its paths; 0 where there is none */
	u32 pad;
};

struct resolved_path {
	u8 components[PATH_LEN_MAX];
};

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_HASH);
	DECLARE_INT(max_entries, 1024);
	DECLARE_INT(map_flags, BPF_F_NO_PREALLOC);
	DECLARE_TYPE(key, u64); /* the task */
	DECLARE_TYPE(value, struct resolved);
} resolved SEC(".maps");

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_HASH);
	DECLARE_INT(max_entries, 1024);
	DECLARE_INT(map_flags, BPF_F_NO_PREALLOC);
	DECLARE_TYPE(key, u64); /* the task, plus the number of the path: tasks lie further apart */
	DECLARE_TYPE(value, struct resolved_path);
} resolved_paths SEC(".maps");

INLINE struct control *get_control(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&control, &zero);
}

INLINE struct here *get_here(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&heres, &zero);
}

/* Forgets what this CPU knew of another task. */
INLINE void meet(struct control *c, struct here *here, u64 task)
{
	here->task = task;
	here->exits = c->exits;
	here->file = 0;
	here->identified = 0;
	here->window = WINDOW_UNKNOWN;
}

INLINE struct scratch *get_scratch(u32 which)
{
	return bpf_map_lookup_elem(&scratches, &which);
}

INLINE struct counters *get_counters(u32 kind)
{
	return bpf_map_lookup_elem(&counters, &kind);
}

/* The thread group as the kernel numbers it. */
INLINE u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* The current call is over. */
APART int forget_resolved(void)
{
	u64 task = bpf_get_current_task(), second = task + 1;
	struct resolved *known = bpf_map_lookup_elem(&resolved, &task);
	if (!known)
		return 0;
	if (known->len[0])
		bpf_map_delete_elem(&resolved_paths, &task);
	if (known->len[1])
		bpf_map_delete_elem(&resolved_paths, &second);
	bpf_map_delete_elem(&resolved, &task);
	return 0;
}

/* Whether the current task belongs to the run. A task cannot leave its cgroup without a writable
 * cgroup filesystem, which the sandbox does not have. */
INLINE bool watched(struct control *c)
{
	return c->cgroup_id && bpf_get_current_cgroup_id() == c->cgroup_id;
}

#endif
