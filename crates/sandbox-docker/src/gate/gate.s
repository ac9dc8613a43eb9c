// The first process of a container: waits until the monitor watches, starts the command behind the
// filter, reaps, and tells exactly how the command ended. x86_64 Linux; position independent, no
// writable memory but its stack, no library.
//
// What it runs lies right behind it (struct of eight-byte words, see gate.rs):
//    0 filter length in instructions   8 filter        16 program
//   24 argv                           32 envp          40 own deadline in ms
//   48 linger in ms                   56 cwd           64 hold in ms
//
// Its frame, below rbp:
//    0 flags (8), 8 token (16)                     read from standard input: the word to go
//   32 token (16), 48 stage (4), 52 errno (4), 56 wait status (4), 60 survivors (4)   the report
//   64 wait status   72 the command's pid   80 signal set   88 timespec (16)
//  104 filter length (2), 112 filter        the argument of seccomp(2)
//  120 deadline in ms of CLOCK_MONOTONIC  128 the command has ended

    .globl shieldx_gate_start
    .globl shieldx_gate_end
    .balign 16
shieldx_gate_start:
    and rsp, -16
    sub rsp, 256
    mov rbp, rsp
    lea r12, [rip + shieldx_gate_end]
    xor eax, eax
    mov qword ptr [rbp + 48], rax
    mov qword ptr [rbp + 56], rax
    mov qword ptr [rbp + 128], rax

    // prctl(PR_SET_DUMPABLE, 0): nobody inside reads the token out of this memory
    mov edi, 4
    xor esi, esi
    mov eax, 157
    syscall
    // prctl(PR_SET_NO_NEW_PRIVS, 1)
    mov edi, 38
    mov esi, 1
    xor edx, edx
    xor r10d, r10d
    xor r8d, r8d
    mov eax, 157
    syscall
    // rt_sigprocmask(SIG_BLOCK, SIGCHLD), to be taken with rt_sigtimedwait
    mov qword ptr [rbp + 80], 0x10000
    xor edi, edi
    lea rsi, [rbp + 80]
    xor edx, edx
    mov r10d, 8
    mov eax, 14
    syscall

    // read(0): 24 bytes, flags and token
    xor ebx, ebx
20: xor edi, edi
    lea rsi, [rbp + rbx]
    mov edx, 24
    sub edx, ebx
    xor eax, eax
    syscall
    cmp rax, -4
    je 20b
    test rax, rax
    jle 90f
    add rbx, rax
    cmp rbx, 24
    jb 20b
    mov rax, qword ptr [rbp + 8]
    mov qword ptr [rbp + 32], rax
    mov rax, qword ptr [rbp + 16]
    mov qword ptr [rbp + 40], rax

    // flag 1: standard input is the null device from here on
    test byte ptr [rbp], 1
    jz 21f
    mov r13d, 1
    lea rdi, [rip + 99f]
    xor esi, esi
    xor edx, edx
    mov eax, 2
    syscall
    test rax, rax
    js 80f
    mov ebx, eax
    mov edi, eax
    xor esi, esi
    mov eax, 33
    syscall
    mov edi, ebx
    mov eax, 3
    syscall
21: // chdir(cwd)
    mov r13d, 2
    mov rdi, qword ptr [r12 + 56]
    mov eax, 80
    syscall
    test rax, rax
    js 80f

    call 70f
    add rax, qword ptr [r12 + 40]
    mov qword ptr [rbp + 120], rax
    // clone(CLONE_VM | CLONE_VFORK | SIGCHLD): returns when the command has begun or failed to
    mov r13d, 3
    mov edi, 0x4111
    xor esi, esi
    xor edx, edx
    xor r10d, r10d
    xor r8d, r8d
    mov eax, 56
    syscall
    test rax, rax
    js 80f
    jz 60f
    mov qword ptr [rbp + 72], rax
    cmp dword ptr [rbp + 52], 0
    jne 50f

    // wait4(-1, WNOHANG | __WALL) until the command has ended and nobody is left
30: mov rdi, -1
    lea rsi, [rbp + 64]
    mov edx, 0x40000001
    xor r10d, r10d
    mov eax, 61
    syscall
    test rax, rax
    js 40f
    jz 31f
    cmp rax, qword ptr [rbp + 72]
    jne 30b
    mov eax, dword ptr [rbp + 64]
    mov dword ptr [rbp + 56], eax
    mov qword ptr [rbp + 128], 1
    // what it left behind may go on for a while
    call 70f
    add rax, qword ptr [r12 + 48]
    mov qword ptr [rbp + 120], rax
    jmp 30b
31: call 70f
    mov rcx, qword ptr [rbp + 120]
    sub rcx, rax
    jbe 32f
    mov rax, rcx
    xor edx, edx
    mov ecx, 1000
    div rcx
    mov qword ptr [rbp + 88], rax
    imul rdx, rdx, 1000000
    mov qword ptr [rbp + 96], rdx
    // rt_sigtimedwait(SIGCHLD, the time that is left)
    lea rdi, [rbp + 80]
    xor esi, esi
    lea rdx, [rbp + 88]
    mov r10d, 8
    mov eax, 128
    syscall
    jmp 30b
32: // time is up: for survivors, or (nobody else has stopped it) for all of it
    cmp qword ptr [rbp + 128], 0
    je 91f
    mov dword ptr [rbp + 60], 1

    // kill(-1, SIGKILL), and wait until nobody is left
40: mov rdi, -1
    mov esi, 9
    mov eax, 62
    syscall
41: mov rdi, -1
    lea rsi, [rbp + 64]
    mov edx, 0x40000000
    xor r10d, r10d
    mov eax, 61
    syscall
    test rax, rax
    jns 41b
    cmp rax, -4
    je 41b

    // write(2): the report, at once, again when the pipe is full and does not block
50: mov ebx, 3000
51: mov edi, 2
    lea rsi, [rbp + 32]
    mov edx, 32
    mov eax, 1
    syscall
    cmp rax, 32
    je 52f
    mov qword ptr [rbp + 88], 0
    mov qword ptr [rbp + 96], 10000000
    lea rdi, [rbp + 88]
    xor esi, esi
    mov eax, 35
    syscall
    dec ebx
    jnz 51b
52: // the books of the control group are read while it still has a task
    mov rax, qword ptr [r12 + 64]
    xor edx, edx
    mov ecx, 1000
    div rcx
    mov qword ptr [rbp + 88], rax
    imul rdx, rdx, 1000000
    mov qword ptr [rbp + 96], rdx
    lea rdi, [rbp + 88]
    xor esi, esi
    mov eax, 35
    syscall
    xor edi, edi
    jmp 92f

    // the command's process: setsid, SIGCHLD as it was, filter, execve
60: mov eax, 112
    syscall
    mov edi, 1
    lea rsi, [rbp + 80]
    xor edx, edx
    mov r10d, 8
    mov eax, 14
    syscall
    mov r13d, 4
    mov rax, qword ptr [r12]
    mov word ptr [rbp + 104], ax
    mov rax, qword ptr [r12 + 8]
    mov qword ptr [rbp + 112], rax
    // seccomp(SECCOMP_SET_MODE_FILTER, 0, filter)
    mov edi, 1
    xor esi, esi
    lea rdx, [rbp + 104]
    mov eax, 317
    syscall
    test rax, rax
    js 61f
    mov r13d, 5
    mov rdi, qword ptr [r12 + 16]
    mov rsi, qword ptr [r12 + 24]
    mov rdx, qword ptr [r12 + 32]
    mov eax, 59
    syscall
61: // the memory is the gate's, too: it reads what is written here
    neg eax
    mov dword ptr [rbp + 52], eax
    mov dword ptr [rbp + 48], r13d
    mov edi, 127
    mov eax, 231
    syscall

    // rax = CLOCK_MONOTONIC in milliseconds
70: mov edi, 1
    lea rsi, [rbp + 88]
    mov eax, 228
    syscall
    mov rax, qword ptr [rbp + 96]
    xor edx, edx
    mov ecx, 1000000
    div rcx
    imul rcx, qword ptr [rbp + 88], 1000
    add rax, rcx
    ret

    // a step of the gate failed
80: neg eax
    mov dword ptr [rbp + 52], eax
    mov dword ptr [rbp + 48], r13d
    jmp 50b

    // nobody gave the word, or nobody stopped the command: end, and everything with it
90: mov edi, 125
    jmp 92f
91: mov edi, 124
92: mov eax, 231
    syscall
99: .asciz "/dev/null"
    .balign 16
shieldx_gate_end:
