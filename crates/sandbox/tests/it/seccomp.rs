//! The filter on the running kernel: what it refuses, and that software still runs behind it.
#![expect(unsafe_code, reason = "installs filters between fork and exec")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use sandbox::Net;
use sandbox::seccomp::{Decision, FOREIGN_ABI_ERRNO, Filter, Mode, Policy, number};

use crate::child::{call, forked, no_new_privileges};

/// The results of the calls, made behind the filter.
fn behind_the_filter(calls: &[(i64, [u64; 6])]) -> Vec<i64> {
    let filter = Policy::standard(Net::None).compile(Mode::Enforce);
    let (told, status) = forked(|tell| {
        tell(no_new_privileges());
        tell(if filter.install().is_ok() { 0 } else { -1 });
        for &(nr, args) in calls {
            tell(call(nr, args));
        }
    });
    assert_eq!((status, &told[..2]), (0, &[0, 0][..]));
    told[2..].to_vec()
}

#[test]
fn the_kernel_refuses_what_the_policy_refuses() {
    let policy = Policy::standard(Net::None);
    // Calls that are refused for all arguments return before the kernel looks at any.
    let calls: Vec<(i64, [u64; 6])> = policy
        .refusable()
        .into_iter()
        .filter(|&nr| policy.decide(nr, &[0; 6]) != Decision::Allow)
        .filter(|&nr| policy.decide(nr, &[0; 6]) == policy.decide(nr, &[u64::MAX; 6]))
        .chain([400, 500, 0x4000_0065])
        .map(|nr| (i64::from(nr), [0; 6]))
        .chain([
            (libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0]),
            (libc::SYS_ioctl, [0, 0x5412 | 1 << 32, 0, 0, 0, 0]),
            (libc::SYS_ioctl, [0, 0x541c | 1 << 63, 0, 0, 0, 0]),
            (libc::SYS_clone, [0x1000_0011, 0, 0, 0, 0, 0]),
            (libc::SYS_clone, [0x1000_0011 | 1 << 32, 0, 0, 0, 0, 0]),
            (libc::SYS_unshare, [0x1000_0000, 0, 0, 0, 0, 0]),
            (libc::SYS_unshare, [0x80, 0, 0, 0, 0, 0]),
            (libc::SYS_personality, [0x40_0000, 0, 0, 0, 0, 0]),
            (libc::SYS_socket, [17, 3, 0, 0, 0, 0]),
            (libc::SYS_socket, [2, 3, 1, 0, 0, 0]),
            (libc::SYS_socket, [38, 5, 0, 0, 0, 0]),
            (libc::SYS_socket, [40, 1, 0, 0, 0, 0]),
            (libc::SYS_socket, [16, 3, 9, 0, 0, 0]),
        ])
        .collect();
    assert!(calls.len() > 80);
    for (&(nr, args), got) in calls.iter().zip(behind_the_filter(&calls)) {
        let Decision::Refuse(errno) = policy.decide(u32::try_from(nr).unwrap(), &args) else {
            panic!("{nr} {args:x?} is allowed");
        };
        assert_eq!(got, -i64::from(errno), "{nr} {args:x?}");
    }
}

#[test]
fn allowed_sockets_and_forks_reach_the_kernel() {
    let got = behind_the_filter(&[
        (libc::SYS_socket, [1, 1, 0, 0, 0, 0]),
        (libc::SYS_socket, [2, 2 | 0o2_000_000, 17, 0, 0, 0]),
        (libc::SYS_socket, [16, 3, 0, 0, 0, 0]),
        (libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]),
        (libc::SYS_unshare, [0x400, 0, 0, 0, 0, 0]),
        (libc::SYS_setuid, [u64::from(u32::MAX - 1), 0, 0, 0, 0, 0]),
    ]);
    assert!(got[..5].iter().all(|&result| result >= 0), "{got:?}");
}

/// `int 0x80` with eax = 20 is getpid of the 32-bit ABI and 20 (writev) in the 64-bit table.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_32_bit_gate_is_closed() {
    let int80 = |nr: i64| {
        let result: i64;
        // SAFETY: getpid takes no arguments and touches no memory; the gate may clobber r8-r11.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") nr => result,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
        result
    };
    let probe = forked(|tell| tell(int80(20)));
    if probe.1 != 0 {
        println!("SKIP this kernel has no 32-bit calls");
        return;
    }
    assert!(probe.0[0] > 0);
    let filter = Policy::standard(Net::None).compile(Mode::Enforce);
    let (told, status) = forked(|tell| {
        no_new_privileges();
        tell(if filter.install().is_ok() { 0 } else { -1 });
        tell(int80(20));
        tell(int80(26));
    });
    let refused = -i64::from(FOREIGN_ABI_ERRNO);
    assert_eq!((told, status), (vec![0, refused, refused], 0));
}

#[test]
fn without_no_new_privs_an_ordinary_user_gets_an_error() {
    let filter = Policy::standard(Net::None).compile(Mode::Enforce);
    let (told, _) = forked(|tell| {
        tell(call(libc::SYS_setresuid, [65534, 65534, 65534, 0, 0, 0]));
        tell(filter.install().err().and_then(|e| e.raw_os_error()).unwrap_or(0).into());
    });
    assert_eq!(told.last(), Some(&i64::from(libc::EACCES)));
}

/// Runs a shell command behind the filter; none when its program is not on this machine.
fn shell(needs: &str, script: &str) -> Option<(bool, String)> {
    let found = Command::new("sh").args(["-c", &format!("command -v {needs}")]).output().unwrap();
    if !found.status.success() {
        println!("SKIP {needs} is not installed");
        return None;
    }
    let filter: Filter = Policy::standard(Net::None).compile(Mode::Enforce);
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(folder.path()).stdin(Stdio::null());
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            no_new_privileges();
            filter.install()
        });
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn ordinary_software_runs() {
    let c = "int puts(const char*); int main(){return puts(\"built\")<0;}";
    let commands = [
        (
            "ls",
            "ls -laR /etc >/dev/null 2>&1 || true; id; df / ; sort /etc/passwd | uniq -c"
                .to_owned(),
        ),
        (
            "find",
            "find /usr/bin -newer /etc/passwd -name 'a*' | xargs -r sha256sum | tail -1".into(),
        ),
        ("tar", "mkdir a; echo x >a/x; tar czf a.tgz a; rm -r a; tar xzf a.tgz; cat a/x".into()),
        (
            "git",
            "git init -q r; cd r; echo x >x; git add x; \
                 git -c user.name=a -c user.email=a@b commit -qm m; git log --oneline"
                .into(),
        ),
        ("gcc", format!("echo '{c}' >a.c; gcc -O2 -pipe -o a a.c; ./a | grep -q built")),
        ("make", "printf 'all:\\n\\techo made\\n' >Makefile; make -j2".into()),
        ("perl", "perl -e 'if(fork){wait}else{exit 0} print getpwuid(0).\"\\n\"'".into()),
        (
            "python3",
            "python3 -c 'import subprocess,threading,multiprocessing,socket,ssl,ctypes,sqlite3;\
                     t=threading.Thread(target=print,args=(1,));t.start();t.join();\
                     print(subprocess.check_output([\"id\"]));\
                     p=multiprocessing.Process(target=print);p.start();p.join();\
                     socket.getaddrinfo(\"127.0.0.1\",80)'"
                .into(),
        ),
        (
            "node",
            "node -e 'const w=new (require(\"worker_threads\").Worker)(\"1\",{eval:true});\
                  w.on(\"exit\",()=>console.log(require(\"child_process\").execSync(\"id\")+\"\"))'"
                .into(),
        ),
        ("java", "java -version".into()),
        ("go", "go version".into()),
        ("cargo", "cargo --version".into()),
        ("ssh-keygen", "ssh-keygen -q -t ed25519 -N '' -f k".into()),
        ("openssl", "openssl rand -hex 8; openssl version -a".into()),
        ("timeout", "timeout 5 nice -n 5 true; nohup true; (sleep 0.01 & wait)".into()),
        (
            "mktemp",
            "f=$(mktemp); ln -s $f l; cp -a l m; mkfifo p; rm -f $f l m p; touch -d yesterday t"
                .into(),
        ),
        ("pip", "pip --version".into()),
        ("setarch", "setarch -R true".into()),
    ];
    let mut ran = 0;
    for (needs, script) in &commands {
        if let Some((ok, text)) = shell(needs, script) {
            assert!(ok, "{script}: {text}");
            ran += 1;
        }
    }
    assert!(ran >= 5, "only {ran} programs were there to try");
}

#[test]
fn names_are_known_from_outside() {
    assert_eq!(number("ptrace"), Some(101));
}
