/* What is recorded of each class of system call. The record under construction already names the
 * task, the call, its arguments and its result. */
#ifndef SHIELDX_CALLS_H
#define SHIELDX_CALLS_H

INLINE bool interrupted(long ret)
{
	/* ERESTARTSYS … ERESTART_RESTARTBLOCK: the kernel starts the call again by itself. */
	return ret <= -512 && ret >= -516;
}

INLINE u64 argument(struct record *r, u32 index)
{
	return index < 6 ? r->args[index] : 0;
}

/* The path of the current call as the kernel resolved it, where that was captured; whether it was. */
APART int add_resolved(u32 slot, u32 index)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	u64 key = bpf_get_current_task();
	struct resolved *known = bpf_map_lookup_elem(&resolved, &key);
	if (!s || !known || known->nr != (u32)s->record.nr)
		return 0;
	u64 len = known->len[index != 0];
	key += index != 0;
	struct resolved_path *path = bpf_map_lookup_elem(&resolved_paths, &key);
	if (!path)
		return 0;
	/* Verifiers before 6.8 know the bounds of the very registers that were tested. */
	u64 start = s->record.data_len;
	asm volatile("" : "+r"(start), "+r"(len));
	if (start > DATA_LEN_MAX - PATH_LEN_MAX || len == 0 || len > PATH_LEN_MAX)
		return 0;
	bpf_probe_read_kernel(&s->data[start], len, path->components);
	close_slot(&s->record, slot, SLOT_COMPONENTS, start, start + len);
	return 1;
}

/* One path argument: the string, and the folder it starts from when it is relative. */
APART int add_path_argument(u32 slot, u32 path_index, u32 base_index, u32 flags)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	struct control *c = get_control();
	if (!s || !c)
		return 0;
	if (c->captures && add_resolved(slot, slot != 0))
		return 0;
	u64 path = argument(&s->record, path_index);
	s32 base = base_index == AT_CWD ? -100 : (s32)argument(&s->record, base_index);
	if (!path && (flags & RECIPE_NULL_IS_FD))
		return add_file(IN_SYSCALL, slot, file_of(base));
	int first = add_string(IN_SYSCALL, slot, path);
	if (first != '/' && !(flags & RECIPE_RAW_PATH))
		add_base(IN_SYSCALL, slot + 1, base);
	return 0;
}

/* Everything a recipe asks for. */
APART int add_by_recipe(u32 nr)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s || nr >= RECIPES_LEN)
		return 0;
	struct record *r = &s->record;
	const volatile struct recipe *how = &recipes[nr];
	if (how->path0 != NO_ARG)
		add_path_argument(0, how->path0, how->base0, how->flags);
	if (how->path1 != NO_ARG)
		add_path_argument(2, how->path1, how->base1, 0);
	if (how->fd != NO_ARG || (how->flags & RECIPE_SOCK_RESULT)) {
		u64 fd = how->flags & RECIPE_SOCK_RESULT ? (u64)r->ret : argument(r, how->fd);
		u64 file = file_of(fd);
		if (file && !add_sock(IN_SYSCALL, file))
			add_file(IN_SYSCALL, 0, file);
	}
	if (how->text != NO_ARG)
		add_string(IN_SYSCALL, 2, argument(r, how->text));
	if (how->address != NO_ARG)
		add_bytes(IN_SYSCALL, 3, argument(r, how->address),
			  (u32)argument(r, how->address + 1), ADDRESS_LEN_MAX);
	if (how->bytes != NO_ARG && argument(r, how->bytes))
		add_bytes(IN_SYSCALL, 2, argument(r, how->bytes), how->bytes_len, 255);
	return 0;
}

APART int call_plain(u32 nr)
{
	if (nr >= RECIPES_LEN)
		return 0;
	add_by_recipe(nr);
	emit(IN_SYSCALL, (recipes[nr].flags & RECIPE_BULK) != 0);
	return 0;
}

/* Whether this is known not to be the file that the current call opened: another thread can have put
 * another one behind the descriptor by now. */
INLINE bool was_replaced(u64 file, u32 nr)
{
	struct control *c = get_control();
	if (!c || !c->captures)
		return false;
	u64 task = bpf_get_current_task();
	struct resolved *known = bpf_map_lookup_elem(&resolved, &task);
	return known && known->nr == nr && known->inode &&
	       known->inode != (u64)FIELD(struct file, file, f_inode);
}

/* extra[0]: the flags the file was opened with. */
APART int call_open(u32 nr)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s || nr >= RECIPES_LEN)
		return 0;
	struct record *r = &s->record;
	u64 flags = argument(r, recipes[nr].bytes);
	if (recipes[nr].bytes_len) { /* openat2: a structure that starts with the flags */
		u64 how = flags;
		flags = 0;
		bpf_probe_read_user(&flags, sizeof(flags), (void *)how);
	} else if (recipes[nr].bytes == NO_ARG) { /* creat */
		flags = O_CREAT | O_TRUNC | 1;
	}
	u64 file = r->ret >= 0 ? file_of(r->ret) : 0;
	/* Whether it can be written to is not what the task's memory says by now. */
	if (file && recipes[nr].bytes_len)
		flags = (flags & ~(u64)O_ACCMODE) |
			(FIELD(struct file, file, f_flags) & O_ACCMODE);
	r->extra[0] = flags;
	r->replaced = file && was_replaced(file, nr);
	if (file)
		add_file(IN_SYSCALL, 0, file);
	else
		add_path_argument(0, recipes[nr].path0, recipes[nr].base0, 0);
	emit(IN_SYSCALL, (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == 0);
	return 0;
}

APART int call_send(u32 nr)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s || nr >= RECIPES_LEN)
		return 0;
	struct record *r = &s->record;
	u64 file = file_of(r->args[0]);
	u32 flags = recipes[nr].flags;
	if (!(flags & RECIPE_VECTOR))
		return send_message(file, r->args[1], r->args[2], r->args[4], r->args[5]);
	u32 step = sizeof(struct user_msghdr);
	u64 count = 1;
	if (flags & RECIPE_MANY) {
		step = sizeof(struct user_mmsghdr);
		count = r->ret > 0 ? r->ret : 1;
	}
	for (u32 i = 0; i < 8 && i < count; i++) {
		struct user_mmsghdr m = {};
		u64 buffer, len;
		bpf_probe_read_user(&m, sizeof(m.header), (void *)r->args[1] + i * step);
		first_buffer(m.header.iov, &buffer, &len);
		if (flags & RECIPE_MANY && r->ret > 0)
			r->ret = len;
		r->data_len = 0;
		__builtin_memset(r->slot_len, 0, sizeof(r->slot_len) + sizeof(r->slot_what));
		r->total = NO_TOTAL;
		send_message(file, buffer, len, m.header.name, m.header.name_len);
	}
	return 0;
}

/* extra: address, length, protection. */
INLINE void emit_memory(struct record *r, u64 address, u64 len, u64 protection, u64 file)
{
	r->kind = KIND_MEMORY;
	r->extra[0] = address;
	r->extra[1] = len;
	r->extra[2] = protection;
	if (file > 1)
		add_file(IN_SYSCALL, 0, file);
	else
		r->flags |= RECORD_ANONYMOUS;
	if (r->ret >= 0)
		r->urgent = remember_range(address, len);
	emit(IN_SYSCALL, 0);
}

APART int call_mmap(u32 refused)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s)
		return 0;
	struct record *r = &s->record;
	u64 protection = r->args[2];
	u64 flags = r->args[3];
	u64 file = flags & MAP_ANONYMOUS ? 0 : file_of(r->args[4]);
	if ((protection & PROT_EXEC) || refused) {
		bool named = file && FIELD(struct inode, FIELD(struct file, file, f_inode),
					   i_nlink) != 0;
		if (!named || (protection & PROT_WRITE) || refused)
			emit_memory(r, r->ret >= 0 ? r->ret : r->args[0], r->args[1], protection,
				    file);
		return 0;
	}
	if (file && (protection & PROT_WRITE) && (flags & 1) && r->ret >= 0) {
		r->ret = 0;
		write_slowly(file, 0, 0);
	}
	return 0;
}

APART int call_mprotect(u32 refused)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s)
		return 0;
	struct record *r = &s->record;
	u64 protection = r->args[2];
	u64 file = file_mapped_at(r->args[0]);
	if (file <= 1 || (protection & PROT_WRITE) || refused)
		emit_memory(r, r->args[0], r->args[1], protection, file);
	return 0;
}

/* clone3 passes its flags in a structure: they stand in for the pointer to it. */
APART int call_clone(u32 nr)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s)
		return 0;
	if (nr != NR_CLONE) {
		u64 flags = 0;
		bpf_probe_read_user(&flags, sizeof(flags), (void *)s->record.args[0]);
		s->record.args[0] = flags;
	}
	emit(IN_SYSCALL, 0);
	return 0;
}

/* A descriptor that is now a standard stream and a socket. */
APART int call_dup(void)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s)
		return 0;
	if (add_sock(IN_SYSCALL, file_of(s->record.ret)))
		emit(IN_SYSCALL, 0);
	return 0;
}

/* extra[0]: the target's number where it was given as a descriptor. */
APART int call_kill(u32 nr)
{
	struct scratch *s = get_scratch(IN_SYSCALL);
	if (!s || nr >= RECIPES_LEN)
		return 0;
	struct record *r = &s->record;
	if (recipes[nr].fd != NO_ARG) {
		u64 file = file_of(argument(r, recipes[nr].fd));
		if (file) {
			u64 inode = (u64)FIELD(struct file, file, f_inode);
			u64 pid = (u64)FIELD(struct file, file, private_data);
			if (FIELD(struct super_block, FIELD(struct inode, inode, i_sb), s_magic) ==
			    PID_FS_MAGIC)
				pid = (u64)FIELD(struct inode, inode, i_private);
			r->extra[0] = number_of_pid(pid, level_of(bpf_get_current_task()));
		}
		if (r->extra[0] == r->pid)
			return 0;
	} else {
		s32 target = argument(r, recipes[nr].text);
		if (target == (s32)r->pid || target == (s32)r->tid)
			return 0;
	}
	emit(IN_SYSCALL, 0);
	return 0;
}

#endif
