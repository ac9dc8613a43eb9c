/* Variable data of a record: strings of the task, paths of files, sockets. Every function appends
 * to the record under construction and marks it when it had to cut. */
#ifndef SHIELDX_DATA_H
#define SHIELDX_DATA_H

#include "climb.h"

INLINE void close_slot(struct record *r, u32 slot, u32 what, u32 start, u32 end)
{
	/* Verifiers before 6.8 forget the bounds of what was tested in one register and put aside in
	 * another: this one is tested and used. */
	u64 at = slot;
	asm volatile("" : "+r"(at));
	if (at >= SLOTS || end < start)
		return;
	r->slot_len[at] = end - start;
	r->slot_what[at] = what;
	r->data_len = end;
}

/* Appends a NUL-terminated string of the task; returns its first byte, or 0. */
APART int add_string(u32 which, u32 slot, u64 address)
{
	struct scratch *s = get_scratch(which);
	if (!s || slot >= SLOTS)
		return 0;
	u32 start = s->record.data_len;
	if (start > DATA_LEN_MAX - PATH_LEN_MAX)
		return 0;
	long len = bpf_probe_read_user_str(&s->data[start], PATH_LEN_MAX, (void *)address);
	if (len <= 0) {
		s->record.flags |= RECORD_UNREADABLE;
		return 0;
	}
	if (len == PATH_LEN_MAX)
		s->record.flags |= RECORD_TRUNCATED;
	close_slot(&s->record, slot, SLOT_STRING, start, start + len);
	return s->data[start];
}

/* Appends `len` bytes of the task, at most `len_max`. */
APART int add_bytes(u32 which, u32 slot, u64 address, u64 len, u32 len_max)
{
	struct scratch *s = get_scratch(which);
	if (!s || slot >= SLOTS)
		return 0;
	u32 start = s->record.data_len;
	if (len > len_max)
		len = len_max;
	if (len > ARGV_LEN_MAX || start > DATA_LEN_MAX - ARGV_LEN_MAX || len == 0)
		return 0;
	if (bpf_probe_read_user(&s->data[start], len, (void *)address)) {
		s->record.flags |= RECORD_UNREADABLE;
		return 0;
	}
	close_slot(&s->record, slot, SLOT_BYTES, start, start + len);
	return 1;
}

static long climb_step(u32 index, struct climb *c)
{
	struct scratch *s = get_scratch(c->which);
	return s ? climb_on(c, s->data, DATA_LEN_MAX) : 1;
}

/* Appends the components of a path as the current task's root shows it. */
APART int add_path(u32 which, u32 slot, u64 dentry, u64 mnt)
{
	struct scratch *s = get_scratch(which);
	if (!s || slot >= SLOTS)
		return 0;
	struct climb c = climb_from(dentry, mnt);
	c.which = which;
	c.start = s->record.data_len;
	c.end = c.start;
	long steps = bpf_loop(PATH_COMPONENTS_MAX, climb_step, &c, 0);
	if (c.cut || steps >= PATH_COMPONENTS_MAX)
		s->record.flags |= RECORD_TRUNCATED;
	close_slot(&s->record, slot, SLOT_COMPONENTS, c.start, c.end);
	return 0;
}

/* The file behind a descriptor of the current task; 0 when there is none. */
INLINE u64 file_in(u64 table, u32 fd)
{
	u64 file = 0;
	if (fd >= FIELD(struct fdtable, table, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file),
			      (void *)FIELD(struct fdtable, table, fd) + (u64)fd * sizeof(file));
	return file;
}

APART u64 file_of(u32 fd)
{
	u64 files = (u64)FIELD(struct task_struct, bpf_get_current_task(), files);
	return file_in((u64)FIELD(struct files_struct, files, fdt), fd);
}

/* The same on the path that every write takes. */
INLINE u64 file_at(struct task_struct *task, u32 fd)
{
	struct fdtable *table = task->files->fdt;
	u64 file = 0;
	if (fd >= table->max_fds)
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), (void *)table->fd + (u64)fd * sizeof(file));
	return file;
}

INLINE u16 mode_of(u64 file)
{
	return FIELD(struct inode, FIELD(struct file, file, f_inode), i_mode);
}

/* Whether a character device is a terminal: tty, console, serial lines and ptys by major number
 * (Documentation/admin-guide/devices.txt). */
INLINE bool is_tty(u64 file)
{
	u32 major = FIELD(struct inode, FIELD(struct file, file, f_inode), i_rdev) >> 20;
	return (major >= 2 && major <= 5) || (major >= 128 && major <= 143) || major == 204 ||
	       major == 229;
}

/* Appends a file's path and notes what kind of file it is. */
APART int add_file(u32 which, u32 slot, u64 file)
{
	struct scratch *s = get_scratch(which);
	if (!s || !file)
		return 0;
	u64 inode = (u64)FIELD(struct file, file, f_inode);
	struct path path = FIELD(struct file, file, f_path);
	s->record.file_mode = FIELD(struct inode, inode, i_mode);
	s->record.file_flags = 0;
	if (FIELD(struct inode, inode, i_nlink) == 0) {
		u64 magic = FIELD(struct super_block, FIELD(struct inode, inode, i_sb), s_magic);
		const void *name = FIELD(struct dentry, path.dentry, d_name.name);
		u8 start[8] = {};
		bpf_probe_read_kernel_str(start, sizeof(start), name);
		s->record.file_flags = FILE_DELETED;
		if ((magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC) && start[0] == 'm' &&
		    start[1] == 'e' && start[2] == 'm' && start[3] == 'f' && start[4] == 'd' &&
		    start[5] == ':')
			s->record.file_flags = FILE_MEMFD | FILE_DELETED;
	}
	add_path(which, slot, (u64)path.dentry, (u64)path.mnt);
	return 0;
}

/* Appends the folder that a relative path of the current task starts from. */
APART int add_base(u32 which, u32 slot, s32 fd)
{
	if (fd == -100) {
		u64 fs = (u64)FIELD(struct task_struct, bpf_get_current_task(), fs);
		struct path pwd = FIELD(struct fs_struct, fs, pwd);
		add_path(which, slot, (u64)pwd.dentry, (u64)pwd.mnt);
		return 0;
	}
	u64 file = file_of(fd);
	if (!file)
		return 0;
	struct path path = FIELD(struct file, file, f_path);
	add_path(which, slot, (u64)path.dentry, (u64)path.mnt);
	return 0;
}

/* Describes the socket behind a file; whether it is one. */
APART int read_sock(struct sock_info *out, u64 file)
{
	if (!out || !file || (mode_of(file) & S_IFMT) != S_IFSOCK)
		return 0;
	u64 sock = (u64)FIELD(struct socket, FIELD(struct file, file, private_data), sk);
	if (!sock)
		return 0;
	out->family = FIELD(struct sock, sock, __sk_common.skc_family);
	out->type = FIELD(struct sock, sock, sk_type);
	out->protocol = FIELD(struct sock, sock, sk_protocol);
	if (out->family == AF_INET || out->family == AF_INET6) {
		out->remote_port =
			__builtin_bswap16(FIELD(struct sock, sock, __sk_common.skc_dport));
		out->local_port = FIELD(struct sock, sock, __sk_common.skc_num);
	}
	if (out->family == AF_INET) {
		u32 remote = FIELD(struct sock, sock, __sk_common.skc_daddr);
		u32 local = FIELD(struct sock, sock, __sk_common.skc_rcv_saddr);
		__builtin_memcpy(out->remote, &remote, 4);
		__builtin_memcpy(out->local, &local, 4);
	} else if (out->family == AF_INET6) {
		struct in6_addr remote = FIELD(struct sock, sock, __sk_common.skc_v6_daddr);
		struct in6_addr local = FIELD(struct sock, sock, __sk_common.skc_v6_rcv_saddr);
		__builtin_memcpy(out->remote, &remote, 16);
		__builtin_memcpy(out->local, &local, 16);
	}
	return 1;
}

APART int add_sock(u32 which, u64 file)
{
	struct scratch *s = get_scratch(which);
	if (!s)
		return 0;
	return read_sock(&s->record.sock, file);
}

#endif
