/* What malware does to memory, each by the name given as the argument. Runs in the sandbox only;
 * the code it plants writes a dot and ends the process. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* write(1, ".", 1); exit_group(0) */
static const unsigned char code[] = {
	0x6a, 0x2e, 0x48, 0x89, 0xe6, 0xbf, 1, 0, 0, 0, 0xba, 1, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05,
	0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05,
};
/* for (;;) pause() */
static const unsigned char waiting[] = { 0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7 };

static void *memory(int protection)
{
	return mmap(0, 8192, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void run(void *at)
{
	((void (*)(void))at)();
}

static void *planted(const unsigned char *what, size_t len)
{
	void *at = memory(PROT_READ | PROT_WRITE);
	memcpy(at, what, len);
	mprotect(at, 8192, PROT_READ | PROT_EXEC);
	return at;
}

static void writable(void)
{
	void *at = memory(PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy(at, code, sizeof(code));
	run(at);
}

static void protect(void)
{
	run(planted(code, sizeof(code)));
}

static void last_thread(void)
{
	/* exit(0), not exit_group, as hand-written programs end. */
	static const unsigned char plain[] = { 0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05 };
	run(planted(plain, sizeof(plain)));
}

static void shell(void)
{
	/* execve("/bin/true", 0, 0) */
	static const unsigned char exec[] = {
		0x48, 0x31, 0xd2, 0x52, 0x48, 0xb8, '/', 'b', 'i', 'n', '/', 't', 'r', 'u', 0x50, 0x90,
		0x48, 0x8d, 0x3d, 9, 0, 0, 0, 0x31, 0xf6, 0xb8, 59, 0, 0, 0, 0x0f, 0x05,
		'/', 'b', 'i', 'n', '/', 't', 'r', 'u', 'e', 0,
	};
	run(planted(exec, sizeof(exec)));
}

static void reflective(void)
{
	int fd = open("/bin/true", O_RDONLY);
	char *at = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (read(fd, at, 65536) < 4096)
		exit(9);
	mprotect(at + 4096, 8192, PROT_READ | PROT_EXEC);
}

static void hollow(void)
{
	char *page = (char *)((unsigned long)&strfry & ~4095ul);
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
	memset((void *)&strfry, 0xcc, 200);
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static void patch(void)
{
	char *page = (char *)((unsigned long)&strfry & ~4095ul);
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
	*(volatile char *)&strfry = 0xcc;
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static void thread(void)
{
	pthread_t it;
	pthread_create(&it, 0, (void *(*)(void *))planted(waiting, sizeof(waiting)), 0);
	usleep(150000);
}

static void stack(void)
{
	unsigned char here[sizeof(code)];
	memcpy(here, code, sizeof(code));
	mprotect((void *)((unsigned long)here & ~4095ul), 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
	run(here);
}

static void memory_file(char **argv)
{
	char *again[] = { argv[0], "nothing", 0 };
	int self = open("/proc/self/exe", O_RDONLY);
	int fd = memfd_create("x", 0);
	char buffer[4096];
	ssize_t len;
	while ((len = read(self, buffer, sizeof(buffer))) > 0)
		if (write(fd, buffer, len) != len)
			exit(9);
	fexecve(fd, again, environ);
	exit(9);
}

static void inject(void)
{
	static char place[8];
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	struct iovec one = { "hello", 5 }, two = { place, 5 };
	process_vm_writev(child, &one, 1, &two, 1, 0);
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
}

static void forever(void)
{
	planted(waiting, sizeof(waiting));
	run(planted(waiting, sizeof(waiting)));
}

static void background(void)
{
	if (fork() == 0) {
		setsid();
		forever();
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*deed)(void);
	} deeds[] = {
		{ "writable", writable }, { "protect", protect }, { "last_thread", last_thread },
		{ "shell", shell }, { "reflective", reflective }, { "hollow", hollow }, { "patch", patch },
		{ "thread", thread }, { "stack", stack }, { "inject", inject }, { "forever", forever },
		{ "background", background },
	};
	const char *name = argc > 1 ? argv[1] : "nothing";
	if (!strcmp(name, "memory_file"))
		memory_file(argv);
	for (unsigned i = 0; i < sizeof(deeds) / sizeof(*deeds); i++)
		if (!strcmp(name, deeds[i].name))
			deeds[i].deed();
	return 0;
}
