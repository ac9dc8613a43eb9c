/* From a file up to the root of the task that is looking: the names of its path, last one first. */
#ifndef SHIELDX_CLIMB_H
#define SHIELDX_CLIMB_H

#define NAME_LEN_MAX 256

struct climb {
	u64 dentry;
	u64 mnt;
	u64 root_dentry;
	u64 root_mnt;
	u64 mnt_root; /* of `mnt` */
	u32 which; /* where the names go: whose business it is, is the caller's */
	u32 start;
	u32 end;
	u32 cut;
};

/* A dentry's parent and name: one read where the kernel has them side by side. */
struct link {
	u64 parent;
	u64 hash_len;
	u64 name;
};

INLINE struct link link_of(u64 dentry)
{
	struct link link = {};
	if (FIELD_OFFSET(struct dentry, d_name.name) ==
	    FIELD_OFFSET(struct dentry, d_parent) + 16) {
		bpf_probe_read_kernel(&link, sizeof(link),
				      (void *)dentry + FIELD_OFFSET(struct dentry, d_parent));
	} else {
		link.parent = (u64)FIELD(struct dentry, dentry, d_parent);
		link.name = (u64)FIELD(struct dentry, dentry, d_name.name);
	}
	return link;
}

/* Where the current task's way up begins and ends. */
INLINE struct climb climb_from(u64 dentry, u64 mnt)
{
	u64 fs = (u64)FIELD(struct task_struct, bpf_get_current_task(), fs);
	struct path root = FIELD(struct fs_struct, fs, root);
	struct climb c = {
		.dentry = dentry,
		.mnt = mnt,
		.root_dentry = (u64)root.dentry,
		.root_mnt = (u64)root.mnt,
		.mnt_root = (u64)FIELD(struct vfsmount, mnt, mnt_root),
	};
	return c;
}

/* One step from a file towards the root: up to the parent, or out of a mount. The name goes to `to`,
 * which has room for `room` bytes; 1 when the way is over. */
INLINE long climb_on(struct climb *c, u8 *to, u32 room)
{
	if (c->dentry == c->root_dentry && c->mnt == c->root_mnt)
		return 1;
	if (c->dentry == c->mnt_root) {
		u64 mount = c->mnt - FIELD_OFFSET(struct mount, mnt);
		u64 parent = (u64)FIELD(struct mount, mount, mnt_parent);
		if (!parent || parent == mount)
			return 1;
		c->dentry = (u64)FIELD(struct mount, mount, mnt_mountpoint);
		c->mnt = parent + FIELD_OFFSET(struct mount, mnt);
		c->mnt_root = (u64)FIELD(struct vfsmount, c->mnt, mnt_root);
		return 0;
	}
	u32 end = c->end;
	if (end > room - NAME_LEN_MAX || end - c->start > PATH_LEN_MAX - NAME_LEN_MAX) {
		c->cut = 1;
		return 1;
	}
	struct link link = link_of(c->dentry);
	long len = bpf_probe_read_kernel_str(&to[end], NAME_LEN_MAX, (void *)link.name);
	if (len <= 0) {
		c->cut = 1;
		return 1;
	}
	c->end = end + len;
	if (link.parent == c->dentry)
		return 1;
	c->dentry = link.parent;
	return 0;
}

#endif
