/* Tier A: refusals of the kernel's own security hooks, for the tasks of one cgroup.
 *
 * What is refused stands in the run's control (DENY_*). A hook sees what a call is aimed at after the
 * kernel has copied and resolved it, so nothing told here can have been changed by the task meanwhile.
 * These programs share the monitor's maps: their events go into the critical ring and into the same
 * books, and the return of a refused call is not told a second time. They can be preempted, so nothing
 * per CPU is built up here: a record is written where it is read. */
#include "kernel.h"
#include "bpf.h"
#include "abi.h"
#include "state.h"
#include "emit.h"
#include "identity.h"

#define NR_PTRACE 101
#define NR_PROCESS_VM_READV 310
#define NR_PROCESS_VM_WRITEV 311
#define ERRNO_MAX 4095

/* What a hook tells: a record, and behind it what it was aimed at. */
struct told {
	struct record record;
	char data[PATH_LEN_MAX];
};

/* The answer of whoever was asked before. */
INLINE int earlier(s64 ret)
{
	if (ret < 0 && ret >= -ERRNO_MAX)
		return ret;
	return ret ? -EPERM : 0;
}

INLINE bool denies(u32 what)
{
	struct control *c = get_control();
	return c && (c->deny & what) && watched(c);
}

INLINE void describe(struct record *r, u8 kind)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct pt_regs *regs = bpf_task_pt_regs(current);
	u64 task = bpf_get_current_task();
	u64 leader = (u64)FIELD(struct task_struct, task, group_leader);
	u64 parent = (u64)FIELD(struct task_struct, task, real_parent);
	u32 level = level_of(task);
	__builtin_memset(r, 0, sizeof(*r));
	r->time_ns = bpf_ktime_get_ns();
	r->start_ns = FIELD(struct task_struct, leader, start_time);
	r->pid = number_of_task(leader, level);
	r->tid = number_of_task(task, level);
	r->ppid = number_of_task((u64)FIELD(struct task_struct, parent, group_leader), level);
	r->euid = FIELD(struct cred, FIELD(struct task_struct, task, cred), euid.val);
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	r->kind = kind;
	r->flags = RECORD_GUARD;
	if (current->thread_info.status & TS_COMPAT)
		r->flags |= RECORD_COMPAT;
	r->total = NO_TOTAL;
	r->nr = regs->orig_ax;
	r->ret = -EPERM;
	r->args[0] = regs->di;
	r->args[1] = regs->si;
	r->args[2] = regs->dx;
	r->args[3] = regs->r10;
	r->args[4] = regs->r8;
	r->args[5] = regs->r9;
}

/* Room in the critical ring, held against the books of this kind; the writer waits when it is full. */
INLINE struct told *reserve(u32 kind)
{
	struct counters *books = get_counters(kind);
	if (!books)
		return 0;
	__sync_fetch_and_add(&books->seen, 1);
	if (query(0, BPF_RB_AVAIL_DATA) > critical_len / 4 * 3) {
		__sync_fetch_and_add(&books->throttled, 1);
		wait_for_room(0, critical_len / 2, WAIT_AT_MARK_NS, STUCK_AT_MARK_NS);
	}
	struct told *told = bpf_ringbuf_reserve(&critical, sizeof(*told), 0);
	if (!told) {
		__sync_fetch_and_add(&books->throttled, 1);
		wait_for_room(0, critical_len / 2, WAIT_AT_FULL_NS, STUCK_AT_FULL_NS);
		told = bpf_ringbuf_reserve(&critical, sizeof(*told), 0);
	}
	if (told)
		__sync_fetch_and_add(&books->sent, 1);
	else
		__sync_fetch_and_add(&books->dropped, 1);
	return told;
}

/* Its return need not be told: it has been. */
INLINE void note(struct told *told)
{
	u64 task = bpf_get_current_task();
	u64 nr = (u32)told->record.nr;
	bpf_map_update_elem(&denied, &task, &nr, 0);
	bpf_ringbuf_submit(told, 0);
}

INLINE int refuse_call(u8 kind)
{
	struct told *told = reserve(kind);
	if (!told)
		return -EPERM;
	describe(&told->record, kind);
	note(told);
	return -EPERM;
}

INLINE int refuse_path(u8 kind, struct path *path, u64 extra)
{
	struct told *told = reserve(kind);
	if (!told)
		return -EPERM;
	describe(&told->record, kind);
	told->record.extra[0] = extra;
	long len = bpf_d_path(path, told->data, PATH_LEN_MAX);
	if (len > 0 && len <= PATH_LEN_MAX) {
		told->record.slot_len[0] = len;
		told->record.slot_what[0] = SLOT_PATH;
		told->record.data_len = len;
	} else {
		told->record.flags |= RECORD_TRUNCATED;
	}
	note(told);
	return -EPERM;
}

INLINE int refuse_address(u8 kind, const void *address, u64 address_len)
{
	struct told *told = reserve(kind);
	if (!told)
		return -EPERM;
	describe(&told->record, kind);
	told->record.flags |= RECORD_ADDRESS_GIVEN;
	u64 len = address_len;
	if (len > ADDRESS_LEN_MAX)
		len = ADDRESS_LEN_MAX;
	asm volatile("" : "+r"(len));
	if (len > 0 && len <= ADDRESS_LEN_MAX &&
	    !bpf_probe_read_kernel(told->data, len, address)) {
		told->record.slot_len[3] = len;
		told->record.slot_what[3] = SLOT_BYTES;
		told->record.data_len = len;
	}
	note(told);
	return -EPERM;
}

INLINE int refuse_memory(u64 start, u64 len, u64 protection, bool anonymous)
{
	struct told *told = reserve(KIND_MEMORY);
	if (!told)
		return -EPERM;
	describe(&told->record, KIND_MEMORY);
	told->record.extra[0] = start;
	told->record.extra[1] = len;
	told->record.extra[2] = protection;
	if (anonymous)
		told->record.flags |= RECORD_ANONYMOUS;
	note(told);
	return -EPERM;
}

/* The family that the socket's address names; the kernel has copied it. */
INLINE u16 family_of(const void *address)
{
	u16 family = 0;
	bpf_probe_read_kernel(&family, sizeof(family), address);
	return family;
}

SEC("lsm/bprm_check_security")
int guard_exec(u64 *ctx)
{
	struct linux_binprm *program = (void *)ctx[0];
	if (ctx[1] || !denies(DENY_EXEC))
		return earlier(ctx[1]);
	return refuse_path(KIND_EXEC, &program->file->f_path, 0);
}

SEC("lsm/file_open")
int guard_open(u64 *ctx)
{
	struct file *file = (void *)ctx[0];
	if (ctx[1] || !denies(DENY_OPEN))
		return earlier(ctx[1]);
	return refuse_path(KIND_OPEN, &file->f_path, file->f_flags);
}

SEC("lsm/socket_connect")
int guard_connect(u64 *ctx)
{
	const void *address = (void *)ctx[1];
	if (ctx[3] || !denies(DENY_CONNECT) || family_of(address) == AF_UNIX)
		return earlier(ctx[3]);
	return refuse_address(KIND_CONNECT, address, (u32)ctx[2]);
}

/* args: socket, message, length. Without an address it goes where a connect was let to. */
SEC("lsm/socket_sendmsg")
int guard_send(u64 *ctx)
{
	struct msghdr *message = (void *)ctx[1];
	if (ctx[3] || !denies(DENY_CONNECT))
		return earlier(ctx[3]);
	const void *address = message->msg_name;
	if (!address || family_of(address) == AF_UNIX)
		return 0;
	return refuse_address(KIND_SEND, address, message->msg_namelen);
}

SEC("lsm/socket_bind")
int guard_bind(u64 *ctx)
{
	const void *address = (void *)ctx[1];
	if (ctx[3] || !denies(DENY_BIND) || family_of(address) == AF_UNIX)
		return earlier(ctx[3]);
	return refuse_address(KIND_BIND, address, (u32)ctx[2]);
}

/* args: file, what was asked for, what is given, flags */
SEC("lsm/mmap_file")
int guard_mmap(u64 *ctx)
{
	u64 protection = ctx[2];
	if (ctx[4] || (protection & (PROT_WRITE | PROT_EXEC)) != (PROT_WRITE | PROT_EXEC) ||
	    !denies(DENY_WRITE_EXECUTE))
		return earlier(ctx[4]);
	struct pt_regs *regs = bpf_task_pt_regs(bpf_get_current_task_btf());
	return refuse_memory(regs->di, regs->si, protection, !ctx[0]);
}

/* args: mapping, what was asked for, what is given */
SEC("lsm/file_mprotect")
int guard_mprotect(u64 *ctx)
{
	u64 protection = ctx[2];
	if (ctx[3] || (protection & (PROT_WRITE | PROT_EXEC)) != (PROT_WRITE | PROT_EXEC) ||
	    !denies(DENY_WRITE_EXECUTE))
		return earlier(ctx[3]);
	struct vm_area_struct *mapping = (void *)ctx[0];
	u64 start = mapping->vm_start;
	return refuse_memory(start, mapping->vm_end - start, protection, !mapping->vm_file);
}

SEC("lsm/ptrace_access_check")
int guard_ptrace(u64 *ctx)
{
	if (ctx[2] || !denies(DENY_PTRACE))
		return earlier(ctx[2]);
	struct pt_regs *regs = bpf_task_pt_regs(bpf_get_current_task_btf());
	if (regs->orig_ax == NR_PTRACE)
		return refuse_call(KIND_PTRACE);
	if (regs->orig_ax == NR_PROCESS_VM_READV || regs->orig_ax == NR_PROCESS_VM_WRITEV)
		return refuse_call(KIND_PROCESS_MEMORY);
	return refuse_call(KIND_SYSCALL);
}

SEC("lsm/sb_mount")
int guard_mount(u64 *ctx)
{
	return ctx[5] || !denies(DENY_MOUNT) ? earlier(ctx[5]) : refuse_call(KIND_SYSCALL);
}

SEC("lsm/bpf")
int guard_bpf(u64 *ctx)
{
	return ctx[3] || !denies(DENY_BPF) ? earlier(ctx[3]) : refuse_call(KIND_SYSCALL);
}

SEC("lsm/kernel_read_file")
int guard_read_module(u64 *ctx)
{
	return ctx[3] || !denies(DENY_MODULE) ? earlier(ctx[3]) : refuse_call(KIND_SYSCALL);
}

SEC("lsm/kernel_load_data")
int guard_load_module(u64 *ctx)
{
	return ctx[2] || !denies(DENY_MODULE) ? earlier(ctx[2]) : refuse_call(KIND_SYSCALL);
}

SEC("lsm/task_fix_setuid")
int guard_set_ids(u64 *ctx)
{
	return ctx[3] || !denies(DENY_SET_IDS) ? earlier(ctx[3]) : refuse_call(KIND_SET_IDS);
}

char program_license[] SEC("license") = "Dual MIT/GPL";
