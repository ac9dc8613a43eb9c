/* Tier B: what the tasks of one cgroup ask of the kernel, seen where system calls return.
 *
 * At return the arguments are still in the saved registers, the result is known, and descriptors
 * can be resolved to files and sockets; calls that seccomp refused pass here too. Nothing in here
 * judges: a table made by the loader says what is of interest. x86_64 only. */
#include "kernel.h"
#include "bpf.h"
#include "abi.h"
#include "state.h"
#include "emit.h"
#include "identity.h"
#include "data.h"
#include "memory.h"
#include "traffic.h"
#include "calls.h"
#include "packets.h"
#include "durations.h"

/* Begins the record of a system call. */
APART int begin_call(u64 ret, u32 nr, u32 kind)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s)
		return 0;
	struct pt_regs *regs = bpf_task_pt_regs(bpf_get_current_task_btf());
	struct record *r = &s->record;
	begin(r, bpf_get_current_task(), kind);
	r->nr = nr;
	r->ret = ret;
	r->args[0] = regs->di;
	r->args[1] = regs->si;
	r->args[2] = regs->dx;
	r->args[3] = regs->r10;
	r->args[4] = regs->r8;
	r->args[5] = regs->r9;
	return 0;
}

APART int call_other_table(u64 ret, u32 nr, u32 flags)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s)
		return 0;
	begin_call(ret, nr, KIND_SYSCALL);
	s->record.flags |= flags;
	emit(IN_SYSCALL, 0);
	return 0;
}

/* Whether a call of this class is of interest at all, judged by its registers alone. */
INLINE bool of_interest(u32 handler, u32 flags, struct pt_regs *regs, long ret)
{
	switch (handler) {
	case HANDLER_WRITE:
	case HANDLER_TRANSFER:
		return ret > 0;
	case HANDLER_MMAP:
		return (regs->dx & PROT_EXEC) ||
		       ((regs->dx & PROT_WRITE) && (regs->r10 & 3) != 2 &&
			!(regs->r10 & MAP_ANONYMOUS));
	case HANDLER_MPROTECT:
		return regs->dx & PROT_EXEC && ret == 0;
	case HANDLER_DUP:
		return ret >= 0 && ret <= 2;
	case HANDLER_ACCEPT:
		return ret >= 0;
	case HANDLER_PRCTL:
		return (u32)regs->di == 15 && ret == 0; /* PR_SET_NAME */
	case HANDLER_IOCTL:
		return (u32)regs->si == 0x5412 || (u32)regs->si == 0x541c; /* TIOCSTI, TIOCLINUX */
	case HANDLER_PERSONALITY:
		return (u32)regs->di != 0xffffffff;
	default:
		return handler != HANDLER_IGNORE && !((flags & RECIPE_FAILED_ONLY) && ret >= 0);
	}
}

/* clone and clone3 matter when they make namespaces; the child's own return is not told. */
INLINE bool clones_namespace(struct pt_regs *regs, u32 nr, long ret)
{
	u64 flags = regs->di;
	if (ret == 0)
		return false;
	if (nr == NR_CLONE)
		return flags & (CLONE_NEW_FLAGS & ~CLONE_NEWTIME);
	flags = 0;
	bpf_probe_read_user(&flags, sizeof(flags), (void *)regs->di);
	return flags & CLONE_NEW_FLAGS;
}

APART int tell_executed(u64 start, u32 nr)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s)
		return 0;
	begin_call(0, nr, KIND_MEMORY_EXECUTED);
	s->record.extra[0] = start;
	emit(IN_SYSCALL, 0);
	return 0;
}

/* Builds and sends the event of a call that is of interest. */
APART int tell(u64 ret, u32 nr, u32 handler, u32 refused)
{
	if (nr >= RECIPES_LEN)
		return 0;
	const volatile struct recipe *how = &recipes[nr];
	begin_call(ret, nr, how->kind);
	if (refused && handler == HANDLER_DUP)
		handler = HANDLER_PLAIN;
	switch (handler) {
	case HANDLER_OPEN:
		return call_open(nr);
	case HANDLER_SEND:
		return call_send(nr);
	case HANDLER_MMAP:
		return call_mmap(refused);
	case HANDLER_MPROTECT:
		return call_mprotect(refused);
	case HANDLER_CLONE:
		return call_clone(nr);
	case HANDLER_DUP:
		return call_dup();
	case HANDLER_KILL:
		return call_kill(nr);
	default:
		return call_plain(nr);
	}
}

APART int tell_write(u64 ret, u32 nr, u64 file)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s || nr >= RECIPES_LEN)
		return 0;
	begin_call(ret, nr, KIND_WRITE);
	u64 buffer = 0, len = 0;
	if (recipes[nr].flags & RECIPE_VECTOR) {
		first_buffer(s->record.args[1], &buffer, &len);
	} else if (recipes[nr].handler == HANDLER_WRITE) {
		buffer = s->record.args[1];
		len = s->record.args[2];
	}
	return write_slowly(file, buffer, len);
}

/* Whether a guard refused this call and has told of it. */
APART int told_by_guard(u64 nr)
{
	u64 key = bpf_get_current_task();
	u64 *refused = bpf_map_lookup_elem(&denied, &key);
	if (!refused)
		return 0;
	int told = *refused == nr;
	bpf_map_delete_elem(&denied, &key);
	return told;
}

/* Whether the current task belongs to the run; what this CPU knew of another task is forgotten. */
INLINE bool watched_here(struct control *c, struct here *here, struct task_struct *task)
{
	if (here->task == (u64)task && here->exits == c->exits)
		return true;
	if (!watched(c))
		return false;
	meet(c, here, (u64)task);
	return true;
}

/* A writing call that returned. */
INLINE int on_write(struct control *c, struct here *here, struct task_struct *task, u64 fd,
		    u32 nr, long ret)
{
	u64 file = ret > 0 ? file_at(task, fd) : 0;
	if (!file || write_known(c, here, file, ret))
		return 0;
	return tell_write(ret, nr, file);
}

/* A call that returns twice: with the child's number in the parent, and with 0 in the child, which
 * did not make it. */
INLINE bool is_birth(u32 nr)
{
	return (nr >= NR_CLONE && nr <= NR_VFORK) || nr == NR_CLONE3;
}

/* The only program with typed arguments: it runs at every system call, and typed arguments save it
 * the helpers that would fetch them. */
SEC("tp_btf/sys_exit")
int on_sys_exit(u64 *ctx)
{
	struct control *c = get_control();
	struct here *here = get_here();
	if (!c || !here)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	if (!watched_here(c, here, task))
		return 0;
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	long ret = ctx[1];
	long number = regs->orig_ax;
	sample(here, task, number, ret);
	if (number < 0)
		return 0;
	if (interrupted(ret)) {
		if (c->captures)
			forget_resolved();
		return 0;
	}
	u32 nr = number;
	if (c->ranges_active) {
		u64 start = range_executed(regs->ip);
		if (start)
			tell_executed(start, nr);
	}
	if (task->thread_info.status & TS_COMPAT) {
		here->calls[CALLS_OTHER]++;
		return call_other_table(ret, nr, RECORD_COMPAT);
	}
	/* Keeps the compiler from testing another copy of the number than the one it indexes with: the
	 * verifier would not know the bound. */
	asm volatile("" : "+r"(nr));
	if (nr >= RECIPES_LEN) {
		here->calls[CALLS_OTHER]++;
		return call_other_table(ret, nr, 0);
	}
	if (ret != 0 || !is_birth(nr))
		here->calls[nr]++;

	const volatile struct recipe *how = &recipes[nr];
	u32 handler = how->handler;
	bool refused = false;
	if (ret < 0) {
		u32 error = -ret;
		if (error == EPERM && c->deny && told_by_guard(nr)) {
			if (c->captures)
				forget_resolved();
			return 0;
		}
		if ((error == ENOSPC || error == EDQUOT) &&
		    (handler == HANDLER_WRITE || handler == HANDLER_TRANSFER || nr == NR_FALLOCATE))
			count_no_room(how->fd == 2 ? regs->dx : regs->di);
		refused = (how->flags & RECIPE_REFUSABLE) && error < 128 &&
			  (refusal_errnos[error / 64] >> (error % 64) & 1);
	} else if (handler == HANDLER_IGNORE) {
		return 0;
	} else if (handler == HANDLER_WRITE || handler == HANDLER_TRANSFER) {
		return on_write(c, here, task, how->fd == 2 ? regs->dx : regs->di, nr, ret);
	}
	if (handler == HANDLER_CLONE) {
		if (!refused && !clones_namespace(regs, nr, ret))
			return 0;
	} else if (!refused && !of_interest(handler, how->flags, regs, ret)) {
		if (c->captures && handler == HANDLER_PLAIN)
			forget_resolved();
		return 0;
	}
	__sync_fetch_and_add(&c->files_made, 1);
	if (handler == HANDLER_FILE_MADE && !refused)
		return 0;
	tell(ret, nr, handler, refused);
	if (c->captures)
		forget_resolved();
	return 0;
}

/* args: task, old pid, linux_binprm */
SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct control *c = get_control();
	struct scratch *s = get_scratch(IN_EXEC);
	if (!c || !s || !watched(c))
		return 0;
	u64 task = bpf_get_current_task();
	u32 tgid = current_tgid();
	if (c->ranges_active)
		bpf_map_delete_elem(&ranges, &tgid);
	struct here *here = get_here();
	if (here)
		here->task = 0; /* a thread that execs takes its leader's number */
	struct record *r = &s->record;
	begin(r, task, KIND_EXEC);

	u64 mm = (u64)FIELD(struct task_struct, task, mm);
	add_file(IN_EXEC, 0, (u64)FIELD(struct mm_struct, mm, exe_file));
	add_base(IN_EXEC, 1, -100);
	u64 start = FIELD(struct mm_struct, mm, arg_start);
	u64 len = FIELD(struct mm_struct, mm, arg_end) - start;
	if (len > ARGV_LEN_MAX)
		r->flags |= RECORD_TRUNCATED;
	add_bytes(IN_EXEC, 2, start, len, ARGV_LEN_MAX);

	u32 at = r->data_len;
	const void *name = FIELD(struct linux_binprm, ctx->args[2], filename);
	if (at <= DATA_LEN_MAX - PATH_LEN_MAX) {
		long name_len = bpf_probe_read_kernel_str(&s->data[at], PATH_LEN_MAX, name);
		if (name_len > 0)
			close_slot(r, 3, SLOT_STRING, at, at + name_len);
	}
	at = r->data_len;
	if (at <= DATA_LEN_MAX - 3 * sizeof(struct stdio)) {
		for (u32 fd = 0; fd < 3; fd++) {
			struct stdio stream = {};
			u64 stream_file = file_of(fd);
			u32 type = stream_file ? mode_of(stream_file) & S_IFMT : 0;
			if (!stream_file)
				stream.kind = STDIO_CLOSED;
			else if (type == S_IFREG || type == S_IFBLK)
				stream.kind = STDIO_FILE;
			else if (type == S_IFIFO)
				stream.kind = STDIO_PIPE;
			else if (type == S_IFSOCK)
				stream.kind = STDIO_SOCKET;
			else if (type == S_IFCHR && is_tty(stream_file))
				stream.kind = STDIO_TTY;
			else
				stream.kind = STDIO_OTHER;
			read_sock(&stream.sock, stream_file);
			__builtin_memcpy(&s->data[at + fd * sizeof(stream)], &stream,
					 sizeof(stream));
		}
		close_slot(r, 4, SLOT_STDIO, at, at + 3 * sizeof(struct stdio));
	}
	emit(IN_EXEC, 0);
	return 0;
}

/* args: parent, child. extra: child's pid, tid, start time. */
SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct control *c = get_control();
	if (!c || !watched(c))
		return 0;
	u64 task = bpf_get_current_task();
	struct record r;
	begin(&r, task, KIND_FORK);
	u64 child = ctx->args[1];
	u64 leader = (u64)FIELD(struct task_struct, child, group_leader);
	u32 level = level_of(task);
	r.extra[0] = number_of_task(leader, level);
	r.extra[1] = number_of_task(child, level);
	r.extra[2] = FIELD(struct task_struct, leader, start_time);
	if (leader != child) {
		r.flags |= RECORD_THREAD;
	} else if (c->ranges_active) {
		u32 parent_tgid = current_tgid();
		u32 child_tgid = FIELD(struct task_struct, child, tgid);
		struct ranges *known = bpf_map_lookup_elem(&ranges, &parent_tgid);
		if (known)
			bpf_map_update_elem(&ranges, &child_tgid, known, 0);
	}
	emit_bytes(&r, sizeof(r), 0);
	return 0;
}

/* extra[0]: the exit status as wait(2) gives it. */
SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct control *c = get_control();
	if (!c || !watched(c))
		return 0;
	u64 task = bpf_get_current_task();
	struct record r;
	begin(&r, task, KIND_EXIT);
	u32 tgid = current_tgid();
	u64 group = (u64)FIELD(struct task_struct, task, signal);
	if (FIELD(struct signal_struct, group, live.counter) == 0) {
		u64 leader = (u64)FIELD(struct task_struct, task, group_leader);
		r.extra[0] = FIELD(struct signal_struct, group, flags) & SIGNAL_GROUP_EXIT
				     ? FIELD(struct signal_struct, group, group_exit_code)
				     : FIELD(struct task_struct, leader, exit_code);
		if (c->ranges_active)
			bpf_map_delete_elem(&ranges, &tgid);
	} else {
		r.flags |= RECORD_THREAD;
		r.extra[0] = FIELD(struct task_struct, task, exit_code);
	}
	emit_bytes(&r, sizeof(r), 0);
	forget_flight(task);
	if (c->deny)
		bpf_map_delete_elem(&denied, &task);
	if (c->captures)
		forget_resolved();
	/* Last: beginning the record has just made this CPU know a task that is about to be freed, and
	 * its address may next belong to a task outside the run. */
	__sync_fetch_and_add(&c->exits, 1);
	return 0;
}

/* bpf_probe_read_kernel and friends are open to GPL-compatible programs only. */
char program_license[] SEC("license") = "Dual MIT/GPL";
