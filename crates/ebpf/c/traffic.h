/* Data that leaves a process: writes to files and sends on sockets, counted per process and target
 * after the first; DNS questions, each of them. */
#ifndef SHIELDX_TRAFFIC_H
#define SHIELDX_TRAFFIC_H

#define EAGAIN 11
#define DNS_PORT 53
#define ENOSPC 28
#define EDQUOT 122

/* Adds to a total; the event is then in the books as aggregated. */
INLINE bool aggregate(u32 index, u32 kind, u64 bytes)
{
	struct total *t = bpf_map_lookup_elem(&totals, &index);
	struct counters *books = get_counters(kind);
	if (!t || !books)
		return false;
	__sync_fetch_and_add(&t->count, 1);
	__sync_fetch_and_add(&t->bytes, bytes);
	books->seen++;
	books->aggregated++;
	return true;
}

/* Finds the total for this key and adds to it (0), or opens one that the record under construction
 * names (1). When all totals are in use the record stands for itself. */
APART int count_or_open(struct total_key *given, u32 kind, u64 bytes)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	struct control *c = get_control();
	if (!s || !c || !given)
		return 0;
	/* Verifiers before 6.2 take no key from memory that they know nothing else of. */
	struct total_key own = *given, *key = &own;
	u32 *index = bpf_map_lookup_elem(&total_index, key);
	if (!index) {
		if (c->totals_used >= TOTALS_LEN)
			return 1;
		u32 fresh = __sync_fetch_and_add(&c->totals_used, 1);
		if (fresh >= TOTALS_LEN)
			return 1;
		if (bpf_map_update_elem(&total_index, key, &fresh, BPF_NOEXIST) == 0) {
			struct total *t = bpf_map_lookup_elem(&totals, &fresh);
			if (!t)
				return 1;
			__sync_fetch_and_add(&t->count, 1);
			__sync_fetch_and_add(&t->bytes, bytes);
			s->record.total = fresh;
			return 1;
		}
		/* Another thread was first: its total is ours. */
		index = bpf_map_lookup_elem(&total_index, key);
		if (!index)
			return 1;
	}
	s->record.total = *index;
	return !aggregate(*index, kind, bytes);
}

/* The first buffer of a list of buffers. */
INLINE void first_buffer(u64 list, u64 *buffer, u64 *len)
{
	struct user_iovec v = {};
	bpf_probe_read_user(&v, sizeof(v), (void *)list);
	*buffer = v.base;
	*len = v.len;
}

INLINE void start_key(struct total_key *key, u64 inode)
{
	u64 leader = (u64)FIELD(struct task_struct, bpf_get_current_task(), group_leader);
	key->start_ns = FIELD(struct task_struct, leader, start_time);
	key->tgid = current_tgid();
	key->ino = FIELD(struct inode, inode, i_ino);
	key->generation = FIELD(struct inode, inode, i_generation);
	key->device = FIELD(struct super_block, FIELD(struct inode, inode, i_sb), s_dev);
}

/* One message on a socket: `buffer` of `len` bytes, an address where one was given. */
APART int send_message(u64 file, u64 buffer, u64 len, u64 address, u32 address_len)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s)
		return 0;
	struct record *r = &s->record;
	long ret = r->ret;
	if (ret == -EAGAIN || !read_sock(&r->sock, file))
		return 0;
	if (!address && (r->sock.family == AF_UNIX || r->sock.family == 0))
		return 0;

	struct total_key key = {};
	start_key(&key, (u64)FIELD(struct file, file, f_inode));
	key.error = ret < 0 ? ret : 0;
	key.port = r->sock.remote_port;
	__builtin_memcpy(key.peer, r->sock.remote, 16);
	if (address) {
		/* sockaddr_in and sockaddr_in6: family, port, then the address. */
		u16 start[2] = {};
		bpf_probe_read_user(start, sizeof(start), (void *)address);
		if (start[0] == AF_INET || start[0] == AF_INET6)
			key.port = __builtin_bswap16(start[1]);
		bpf_probe_read_user(key.peer, 16,
				    (void *)address + (start[0] == AF_INET6 ? 8 : 4));
		r->flags |= RECORD_ADDRESS_GIVEN;
	}
	r->extra[0] = len;
	if ((r->sock.family == AF_INET || r->sock.family == AF_INET6) && key.port == DNS_PORT) {
		r->kind = KIND_DNS;
		if (r->sock.type == SOCK_STREAM)
			r->flags |= RECORD_TCP;
		add_bytes(IN_SYSCALL, 2, buffer, len, DNS_LEN_MAX);
	} else {
		r->kind = KIND_SEND;
		if (!count_or_open(&key, KIND_SEND, ret > 0 ? ret : 0))
			return 0;
	}
	if (address)
		add_bytes(IN_SYSCALL, 3, address, address_len, ADDRESS_LEN_MAX);
	emit(IN_SYSCALL, 0);
	return 1;
}

/* A write to a file or socket that is not the one this CPU saw last. */
APART int write_slowly(u64 file, u64 buffer, u64 len)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	struct here *here = get_here();
	struct control *c = get_control();
	if (!s || !here || !c)
		return 0;
	struct record *r = &s->record;
	u64 inode = (u64)FIELD(struct file, file, f_inode);
	u32 type = FIELD(struct inode, inode, i_mode) & S_IFMT;
	if (type == S_IFSOCK)
		return send_message(file, buffer, len, 0, 0);
	here->file = file;
	here->files_made = c->files_made;
	here->total = UNINTERESTING;
	if (type != S_IFREG && type != S_IFBLK)
		return 0;

	struct total_key key = {};
	start_key(&key, inode);
	r->kind = KIND_WRITE;
	int told = count_or_open(&key, KIND_WRITE, r->ret > 0 ? r->ret : 0);
	if (r->total == NO_TOTAL)
		here->file = 0;
	else
		here->total = r->total;
	if (!told)
		return 0;
	add_file(IN_SYSCALL, 0, file);
	if (buffer && r->ret > 0) {
		if (len > (u64)r->ret)
			len = r->ret;
		add_bytes(IN_SYSCALL, 2, buffer, len, HEAD_LEN_MAX);
	}
	emit(IN_SYSCALL, 0);
	return 1;
}

/* A write that found no room, counted where the file lies in memory or on an overlay: that is where a
 * sandbox lets a run write, and devices say the same of themselves. */
APART int count_no_room(u32 fd)
{
	struct here *here = get_here();
	u64 file = file_of(fd);
	if (!here || !file || (mode_of(file) & S_IFMT) != S_IFREG)
		return 0;
	u64 inode = (u64)FIELD(struct file, file, f_inode);
	u64 magic = FIELD(struct super_block, FIELD(struct inode, inode, i_sb), s_magic);
	if (FIELD(struct inode, inode, i_nlink) && (magic == TMPFS_MAGIC || magic == OVERLAY_MAGIC))
		here->no_room++;
	return 0;
}

/* Whether this write went to the file this CPU saw last, and is thereby counted. */
INLINE bool write_known(struct control *c, struct here *here, u64 file, long bytes)
{
	if (here->file != file || here->files_made != c->files_made)
		return false;
	return here->total == UNINTERESTING || aggregate(here->total, KIND_WRITE, bytes);
}

#endif
