/* Who did it: the numbers of a task as its own pid namespace has them. */
#ifndef SHIELDX_IDENTITY_H
#define SHIELDX_IDENTITY_H

#define UPID_LEN 16 /* struct upid: an int and a pointer */

/* The number of a pid at a level; 0 when it is not visible there. */
INLINE u32 number_of_pid(u64 pid, u32 level)
{
	u32 nr = 0;
	if (!pid || FIELD(struct pid, pid, level) < level)
		return 0;
	const void *numbers =
		(const void *)__builtin_preserve_access_index(&((struct pid *)pid)->numbers[0]);
	bpf_probe_read_kernel(&nr, sizeof(nr), numbers + (u64)level * UPID_LEN);
	return nr;
}

INLINE u32 number_of_task(u64 task, u32 level)
{
	return number_of_pid((u64)FIELD(struct task_struct, task, thread_pid), level);
}

/* How deep the run's pid namespace lies: a task that makes a deeper one keeps its number here. */
INLINE u32 level_of(u64 task)
{
	u32 level = FIELD(struct pid, FIELD(struct task_struct, task, thread_pid), level);
	struct control *c = get_control();
	if (!c)
		return level;
	if (level < c->pid_level)
		c->pid_level = level;
	return c->pid_level;
}

/* Numbers and start of a task, which stay the same until some task exits. */
INLINE void number(struct here *h, u64 task)
{
	u64 leader = (u64)FIELD(struct task_struct, task, group_leader);
	u64 parent = (u64)FIELD(struct task_struct, task, real_parent);
	u32 level = level_of(task);
	h->start_ns = FIELD(struct task_struct, leader, start_time);
	h->tid = number_of_task(task, level);
	h->pid = leader == task ? h->tid : number_of_task(leader, level);
	h->ppid = number_of_task((u64)FIELD(struct task_struct, parent, group_leader), level);
	h->identified = 1;
}

INLINE void identify(struct record *r, u64 task)
{
	struct here *h = get_here();
	struct control *c = get_control();
	if (!h || !c)
		return;
	if (h->task != task || h->exits != c->exits)
		meet(c, h, task);
	if (!h->identified)
		number(h, task);
	r->time_ns = bpf_ktime_get_ns();
	r->start_ns = h->start_ns;
	r->tid = h->tid;
	r->pid = h->pid;
	r->ppid = h->ppid;
	r->euid = FIELD(struct cred, FIELD(struct task_struct, task, cred), euid.val);
	bpf_get_current_comm(r->comm, sizeof(r->comm));
}

/* An empty record about the current task. */
INLINE void begin(struct record *r, u64 task, u8 kind)
{
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->nr = -1;
	r->total = NO_TOTAL;
	identify(r, task);
}

#endif
