/* Who did it: the numbers of a task as its own pid namespace has them. */
#ifndef SHIELDX_IDENTITY_H
#define SHIELDX_IDENTITY_H

#define UPID_LEN 16 /* struct upid: an int and a pointer */

/* The number of `pid` at `level`; 0 when it is not visible there. */
INLINE u32 number_at(struct pid *pid, u32 level)
{
	u32 nr = 0;
	if (pid->level < level)
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)&pid->numbers[0] + (u64)level * UPID_LEN);
	return nr;
}

/* The same for objects of which only the address is known. */
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

INLINE void identify(struct record *r, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	u32 level = task->thread_pid->level;
	r->time_ns = bpf_ktime_get_ns();
	r->start_ns = leader->start_time;
	r->tid = number_at(task->thread_pid, level);
	r->pid = leader == task ? r->tid : number_at(leader->thread_pid, level);
	r->ppid = number_at(task->real_parent->group_leader->thread_pid, level);
	r->euid = task->cred->euid.val;
	__builtin_memcpy(r->comm, task->comm, sizeof(r->comm));
}

/* An empty record about the current task. */
INLINE void begin(struct record *r, struct task_struct *task, u8 kind)
{
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->nr = -1;
	r->total = NO_TOTAL;
	identify(r, task);
}

#endif
