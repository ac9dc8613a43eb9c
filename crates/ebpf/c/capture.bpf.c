/* Tier A: what the kernel resolved, taken where it asks its security modules about it.
 *
 * There every name of a call has been followed to the file that the call is about, whatever the task's
 * memory or the folders on the way say before and after. Nothing is told from here: the program that
 * sees calls return puts what was captured into its one event, and its result beside it. These programs
 * can be preempted, so what they find is kept by task. */
#include "kernel.h"
#include "bpf.h"
#include "abi.h"
#include "state.h"
#include "climb.h"

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_ARRAY);
	DECLARE_INT(max_entries, 1);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, struct resolved_path);
} blank SEC(".maps");

/* The number of the current call when it names a path and is of this kind, else -1. */
INLINE s64 call_of(u8 kind)
{
	struct control *c = get_control();
	if (!c || !c->captures || !watched(c))
		return -1;
	struct task_struct *task = bpf_get_current_task_btf();
	u64 nr = bpf_task_pt_regs(task)->orig_ax;
	if (nr >= RECIPES_LEN || task->thread_info.status & TS_COMPAT)
		return -1;
	const volatile struct recipe *how = &recipes[nr];
	return how->kind == kind && how->path0 != NO_ARG ? (s64)nr : -1;
}

/* An argument as a number: functions that are checked apart take no pointers. */
INLINE u64 arg(u64 *ctx, u32 index)
{
	u64 value = 0;
	bpf_probe_read_kernel(&value, sizeof(value), &ctx[index]);
	return value;
}

struct ascent {
	struct climb climb;
	u64 key;
};

static long ascend_step(u32 index, struct ascent *a)
{
	struct resolved_path *to = bpf_map_lookup_elem(&resolved_paths, &a->key);
	return to ? climb_on(&a->climb, to->components, PATH_LEN_MAX) : 1;
}

/* Takes down one path of the current task's call; its length, 0 when it could not be taken whole. */
APART u32 take_path(u64 dentry, u64 mnt, u32 index)
{
	u32 zero = 0;
	struct ascent a = {
		.climb = climb_from(dentry, mnt),
		.key = bpf_get_current_task() + (index != 0),
	};
	void *none = bpf_map_lookup_elem(&blank, &zero);
	if (!none || bpf_map_update_elem(&resolved_paths, &a.key, none, 0))
		return 0;
	long steps = bpf_loop(PATH_COMPONENTS_MAX, ascend_step, &a, 0);
	if (a.climb.cut || steps >= PATH_COMPONENTS_MAX || !a.climb.end) {
		bpf_map_delete_elem(&resolved_paths, &a.key);
		return 0;
	}
	return a.climb.end;
}

/* Keeps what the call is about until it returns. The first of several files is the one it named: others
 * are interpreters, and what lies below an overlay. */
INLINE int keep(s64 nr, u64 inode, u64 dentry, u64 mnt, u64 dentry1, u64 mnt1)
{
	u64 task = bpf_get_current_task();
	struct resolved *known = bpf_map_lookup_elem(&resolved, &task);
	if (known && known->nr == (u32)nr)
		return 0;
	struct resolved now = { .inode = inode, .nr = nr };
	if (dentry)
		now.len[0] = take_path(dentry, mnt, 0);
	if (dentry1)
		now.len[1] = take_path(dentry1, mnt1, 1);
	bpf_map_update_elem(&resolved, &task, &now, 0);
	return 0;
}

INLINE int keep_in(s64 nr, u64 folder, u64 dentry)
{
	return keep(nr, 0, dentry, (u64)FIELD(struct path, folder, mnt), 0, 0);
}

INLINE int keep_path(s64 nr, u64 path)
{
	return keep(nr, 0, (u64)FIELD(struct path, path, dentry), (u64)FIELD(struct path, path, mnt),
		    0, 0);
}

/* args: file, answer. Of a file that is opened the event names itself by its descriptor. */
SEC("fexit/security_file_open")
int capture_open(u64 *ctx)
{
	s64 nr = call_of(KIND_OPEN);
	bool opens = nr >= 0;
	if (!opens)
		nr = call_of(KIND_EXEC);
	if (nr < 0)
		return 0;
	u64 file = arg(ctx, 0);
	if (opens && (s32)arg(ctx, 1) == 0)
		return keep(nr, (u64)FIELD(struct file, file, f_inode), 0, 0, 0, 0);
	struct path path = FIELD(struct file, file, f_path);
	return keep(nr, 0, (u64)path.dentry, (u64)path.mnt, 0, 0);
}

/* args: folder, entry */
SEC("fexit/security_path_unlink")
int capture_unlink(u64 *ctx)
{
	s64 nr = call_of(KIND_UNLINK);
	return nr < 0 ? 0 : keep_in(nr, arg(ctx, 0), arg(ctx, 1));
}

SEC("fexit/security_path_rmdir")
int capture_rmdir(u64 *ctx)
{
	s64 nr = call_of(KIND_UNLINK);
	return nr < 0 ? 0 : keep_in(nr, arg(ctx, 0), arg(ctx, 1));
}

/* args: folder, entry, folder, entry, flags */
SEC("fexit/security_path_rename")
int capture_rename(u64 *ctx)
{
	s64 nr = call_of(KIND_RENAME);
	if (nr < 0)
		return 0;
	u64 from = arg(ctx, 0), to = arg(ctx, 2);
	return keep(nr, 0, arg(ctx, 1), (u64)FIELD(struct path, from, mnt), arg(ctx, 3),
		    (u64)FIELD(struct path, to, mnt));
}

/* args: folder, entry, mode */
SEC("fexit/security_path_mkdir")
int capture_mkdir(u64 *ctx)
{
	s64 nr = call_of(KIND_MKDIR);
	return nr < 0 ? 0 : keep_in(nr, arg(ctx, 0), arg(ctx, 1));
}

/* args: folder, entry, mode, device, answer. An open that may not make its file goes no further. */
SEC("fexit/security_path_mknod")
int capture_mknod(u64 *ctx)
{
	s64 nr = call_of(KIND_MKNOD);
	if (nr < 0 && (s32)arg(ctx, 4) < 0)
		nr = call_of(KIND_OPEN);
	return nr < 0 ? 0 : keep_in(nr, arg(ctx, 0), arg(ctx, 1));
}

/* args: entry, folder, new entry. Both lie on the same mount. */
SEC("fexit/security_path_link")
int capture_link(u64 *ctx)
{
	s64 nr = call_of(KIND_LINK);
	if (nr < 0)
		return 0;
	u64 folder = arg(ctx, 1);
	u64 mnt = (u64)FIELD(struct path, folder, mnt);
	return keep(nr, 0, arg(ctx, 0), mnt, arg(ctx, 2), mnt);
}

/* args: folder, entry, text */
SEC("fexit/security_path_symlink")
int capture_symlink(u64 *ctx)
{
	s64 nr = call_of(KIND_LINK);
	if (nr < 0)
		return 0;
	u64 folder = arg(ctx, 0);
	return keep(nr, 0, 0, 0, arg(ctx, 1), (u64)FIELD(struct path, folder, mnt));
}

/* args: path */
SEC("fexit/security_path_truncate")
int capture_truncate(u64 *ctx)
{
	s64 nr = call_of(KIND_TRUNCATE);
	return nr < 0 ? 0 : keep_path(nr, arg(ctx, 0));
}

/* args: path, mode */
SEC("fexit/security_path_chmod")
int capture_chmod(u64 *ctx)
{
	s64 nr = call_of(KIND_CHMOD);
	return nr < 0 ? 0 : keep_path(nr, arg(ctx, 0));
}

/* args: path, user, group */
SEC("fexit/security_path_chown")
int capture_chown(u64 *ctx)
{
	s64 nr = call_of(KIND_CHOWN);
	return nr < 0 ? 0 : keep_path(nr, arg(ctx, 0));
}

char program_license[] SEC("license") = "Dual MIT/GPL";
