//! Everyday commands: benign, on full evidence, without a single detection, and with the exit code
//! they have outside.
//!
//! A row is a command line. Where it has no shell characters it is started as it stands, as a
//! person would after `shieldx run --`; otherwise through `sh -c`. Each runs twice in equal
//! folders: bare, and inside.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use types::{Level, Tier, Verdict};

use crate::lab::{Lab, ORDINARY_USER, have, shell_code, tier, wait};

/// Bare commands end within this, or the machine is broken.
const BARE_LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn check(name: &str, needs: &[&str], line: &str, options: &[&str]) {
    if !have(name, needs) {
        return;
    }
    let words = words(line);
    let outside = Lab::new();
    furnish(&outside);
    let bare = bare(&outside, &words, None);
    let lab = Lab::new();
    furnish(&lab);
    let outcome = lab.shieldx().with(options).run(&words);
    assert!(outcome.assessment.detections.is_empty(), "{name}: {}", outcome.summary());
    if tier() == Tier::B {
        let evidence = &outcome.assessment.evidence;
        assert_eq!(evidence.level, Level::Full, "{name}: {}", outcome.summary());
        assert_eq!(evidence.tier, Tier::B, "{name}: {}", outcome.summary());
    }
    assert_eq!(outcome.assessment.verdict, Verdict::Benign, "{name}: {}", outcome.summary());
    // Inside, the command is an ordinary user; where root's code is another one, theirs counts.
    assert!(
        outcome.code() == bare || outcome.code() == ordinary(&words),
        "{name}: exit code {bare} outside\n{}",
        outcome.summary()
    );
    lab.assert_no_process();
}

fn words(line: &str) -> Vec<String> {
    if line.contains(|c: char| "|&;<>$'\"*()\\".contains(c)) {
        return vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()];
    }
    line.split_whitespace().map(str::to_owned).collect()
}

/// The exit code of the bare command for a user without privileges.
fn ordinary(words: &[String]) -> i32 {
    let lab = Lab::new();
    furnish(&lab);
    lab.give_to(ORDINARY_USER);
    bare(&lab, words, Some(ORDINARY_USER))
}

fn bare(lab: &Lab, words: &[String], user: Option<u32>) -> i32 {
    let mut command = Command::new(&words[0]);
    if let Some(id) = user {
        command.uid(id).gid(id);
    }
    let mut child = command
        .args(&words[1..])
        // Of the cargo that runs this test, not of the one that is tried.
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(lab.work())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the bare command starts");
    shell_code(wait(&mut child, BARE_LIMIT))
}

/// A folder as a person has it: notes, numbers, a little program, many small files.
fn furnish(lab: &Lab) {
    let lines = |count: u32, line: &dyn Fn(u32) -> String| {
        (0..count).map(|number| line(number) + "\n").collect::<String>()
    };
    lab.write("notes.txt", "buy milk\ncall home\nread the news\n");
    lab.write("numbers.txt", lines(5000, &|n| format!("{}", n.wrapping_mul(7919) % 5000)));
    lab.write("hello.c", "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n");
    lab.write("answer.c", "int answer(void) { return 42; }\n");
    lab.write("hello.rs", "fn main() { println!(\"hello\"); }\n");
    lab.write("hello.go", "package main\n\nfunc main() { println(\"hello\") }\n");
    lab.write(
        "Hello.java",
        "class Hello { public static void main(String[] a) { \
        System.out.println(\"hello\"); } }\n",
    );
    lab.write("Makefile", "all: hello\n\nhello: hello.c\n\tcc -o hello hello.c\n");
    lab.write(
        "cm/CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.10)\nproject(demo C)\n\
        add_executable(demo demo.c)\n",
    );
    lab.write("cm/demo.c", "int main(void) { return 0; }\n");
    lab.write("data.json", "{\"name\": \"demo\", \"items\": [1, 2, 3]}\n");
    lab.write(
        "schema.sql",
        "create table t (a int); insert into t values (1), (2); \
        select sum(a) from t;\n",
    );
    lab.write("wheel.py", WHEEL);
    lab.write("old/a.txt", "one\ntwo\nthree\n");
    lab.write("new/a.txt", "one\n2\nthree\n");
    for number in 0..100 {
        lab.write(&format!("many/{number}.txt"), format!("file {number} has colour red\n"));
    }
}

/// Makes a wheel by hand: a zip file with a module and its metadata.
const WHEEL: &str = r#"
import zipfile
info = "demo-1.0.dist-info/"
files = {
    "demo.py": "answer = 42\n",
    info + "METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    info + "WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = "".join(f"{name},,\n" for name in files) + info + "RECORD,,\n"
files[info + "RECORD"] = record
with zipfile.ZipFile("demo-1.0-py3-none-any.whl", "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
"#;

/// Each row becomes a test: name, programs it needs, command line.
macro_rules! everyday {
    ($($name:ident [$($need:literal),*] $line:literal $(under $options:expr)?;)*) => {
        $(
            #[test]
            fn $name() {
                let options: &[&[&str]] = &[$($options)?];
                check(stringify!($name), &[$($need),*], $line, &options.concat());
            }
        )*

        #[test]
        fn there_are_at_least_sixty_of_them() {
            assert!([$(stringify!($name)),*].len() >= 60);
        }
    };
}

everyday! {
    id_and_passwd [] "id; cat /etc/passwd; ls /";
    list_root [] "ls -la /";
    list_recursively ["ls"] "ls -lR /etc";
    who_am_i [] "whoami";
    system_name [] "uname -a";
    date [] "date";
    environment [] "env";
    working_folder [] "pwd";
    disk_space [] "df -h";
    disk_use [] "du -sh .";
    processes ["ps"] "ps aux";
    top_once ["top"] "top -b -n 1";
    memory_free ["free"] "free -m";
    uptime ["uptime"] "uptime";
    hostname ["hostname"] "hostname";
    cpu_info ["lscpu"] "lscpu";
    mounts [] "cat /proc/mounts";
    os_release [] "cat /etc/os-release";
    account ["getent"] "getent passwd root";

    true_and_false [] "false";
    exit_code [] "(exit 42)";
    missing_file [] "ls /nonexistent";
    killed_by_itself [] "kill -TERM $$";
    loop_of_processes [] "for i in $(seq 100); do /bin/true; done";
    background_jobs [] "sleep 0.1 & sleep 0.1 & wait";
    timeout_reached ["timeout"] "timeout 0.2 sleep 5";
    nohup ["nohup"] "nohup echo hi";
    nice ["nice"] "nice -n 5 true";
    new_session ["setsid"] "setsid -w true";
    kill_own_child [] "sleep 50 & kill $!; wait";
    traps [] "trap 'echo bye' EXIT; exit 3";
    here_document [] "cat <<E\nhello\nE";
    bash_arrays ["bash"] "bash -c 'a=(1 2 3); echo ${#a[@]}'";
    xargs_many ["xargs"] "ls many | xargs -n 10 echo";

    sort_big [] "sort -n numbers.txt | uniq -c | tail -5";
    sort_random [] "seq 200000 | sort -R | sort -n | md5sum";
    head_and_tail [] "head -3 numbers.txt; tail -3 numbers.txt";
    count_words [] "wc numbers.txt";
    cut_and_translate [] "cut -c1-2 notes.txt | tr a-z A-Z";
    awk_sum ["awk"] "awk '{s+=$1} END {print s}' numbers.txt";
    sed_in_place ["sed"] "sed -i s/red/blue/ many/*.txt";
    grep_recursively ["grep"] "grep -r colour .";
    grep_nothing ["grep"] "grep nothing-like-this notes.txt";
    find_usr ["find"] "find /usr -name lib*.so";
    find_all ["find"] "find / -xdev -maxdepth 3";
    find_exec ["find"] "find many -name 1*.txt -exec cat {} +";
    copy_tree [] "cp -a many copy";
    copy_etc [] "cp -r /etc/apt /etc/default .";
    move_files [] "mv many moved; mv moved/1.txt .";
    rename_many [] "for f in many/*.txt; do mv $f $f.bak; done";
    remove_tree [] "rm -rf many";
    make_folders [] "mkdir -p a/b/c/d";
    links [] "ln -s notes.txt link; ln notes.txt hard; cat link hard";
    permissions [] "chmod 755 notes.txt; chmod -R go-w many";
    make_executable [] "printf '#!/bin/sh\\necho hi\\n' > run.sh; chmod +x run.sh; ./run.sh";
    touch_new [] "touch a b c";
    touch_date [] "touch -d 2020-01-01 notes.txt";
    statistics [] "stat notes.txt";
    temporary_file ["mktemp"] "f=$(mktemp); echo hi > $f; cat $f; rm $f";
    shared_memory [] "echo hi > /dev/shm/x; cat /dev/shm/x; rm /dev/shm/x";
    device_null [] "echo hi > /dev/null; head -c 100 /dev/urandom | wc -c";
    install_file ["install"] "install -m 644 -D notes.txt out/share/notes.txt";
    sums [] "md5sum notes.txt; sha256sum many/*.txt";
    base64_round ["base64"] "base64 notes.txt | base64 -d";
    hex_dump ["od"] "od -A d -t x1 notes.txt";
    xxd_dump ["xxd"] "xxd notes.txt";
    disk_dump [] "dd if=/dev/zero of=z bs=1M count=16";
    disk_dump_bytes [] "dd if=/dev/zero of=/dev/null bs=1 count=20000";
    split_and_join ["split"] "split -l 500 numbers.txt part-; cat part-* > whole";
    differences ["diff"] "diff -u old/a.txt new/a.txt";
    apply_patch ["patch", "diff"] "diff -u old/a.txt new/a.txt > p; patch old/a.txt p";
    compare ["cmp"] "cmp old/a.txt new/a.txt";
    file_types ["file"] "file notes.txt /bin/ls";
    strings_of ["strings"] "strings -n 12 /bin/true";
    tee_copy [] "echo hi | tee a b";
    named_pipe ["mkfifo"] "mkfifo p; echo hi > p & cat p";
    calculator ["bc"] "echo '2^64' | bc";
    json_query ["jq"] "jq .items[1] data.json";
    vim_batch ["vim"] "vim -es -u NONE -c %s/milk/tea/ -c wq notes.txt";
    manual_tool ["man"] "man --version";
    tcl ["tclsh"] "echo 'puts [expr 6*7]' | tclsh";

    tar_gzip ["tar", "gzip"] "tar czf a.tgz many && mkdir x && tar xzf a.tgz -C x";
    tar_xz ["tar", "xz"] "tar cJf a.txz many && mkdir x && tar xJf a.txz -C x";
    tar_usr_share ["tar"] "tar cf d.tar /usr/share/dict /usr/share/perl5; tar tf d.tar | tail -1";
    zip_round ["zip", "unzip"] "zip -qr a.zip many && unzip -q -d x a.zip";
    gzip_tree ["gzip"] "gzip -r many";
    gunzip_tree ["gzip"] "gzip -r many; gunzip -r many";
    bzip2_file ["bzip2"] "bzip2 -k numbers.txt; bunzip2 -c numbers.txt.bz2 | cmp - numbers.txt";
    xz_file ["xz"] "xz -k numbers.txt; xz -dc numbers.txt.xz | cmp - numbers.txt";
    zstd_file ["zstd"] "zstd -q numbers.txt; zstd -dqc numbers.txt.zst | cmp - numbers.txt";
    cpio_like ["ar"] "ar rc a.a notes.txt numbers.txt; ar t a.a";

    compile_c ["gcc"] "gcc -O2 -o hello hello.c && ./hello";
    compile_shared ["gcc"] "gcc -shared -fPIC -o libanswer.so answer.c && strip libanswer.so";
    compile_cpp ["g++"] "g++ -x c++ -o hello hello.c && ./hello";
    compile_clang ["clang"] "clang -o hello hello.c && ./hello";
    object_tools ["nm", "objdump", "readelf"] "gcc -c hello.c && nm hello.o && objdump -d hello.o && readelf -h hello.o";
    make_all ["make", "cc"] "make";
    make_parallel ["make", "cc"] "make -j4 && ./hello && touch hello.c && make";
    cmake_build ["cmake", "make", "cc"] "cmake -S cm -B build && cmake --build build && build/demo";
    pkg_config ["pkg-config"] "pkg-config --list-all";
    libraries_of ["ldd"] "ldd /bin/ls";
    link_cache ["ldconfig"] "ldconfig -p";
    rustc_hello ["rustc"] "rustc -o hello hello.rs && ./hello";
    cargo_version ["cargo"] "cargo --version";
    cargo_build ["cargo"] "cargo init -q --vcs none --name demo crate && cd crate && cargo build -q --offline && target/debug/demo";
    go_version ["go"] "go version";
    go_build ["go"] "GOCACHE=$PWD/cache GOFLAGS=-mod=mod GO111MODULE=off go build -o hello hello.go && ./hello" under &["--timeout", "170s", "--memory", "2G", "--disk", "1G"];
    java_version ["java"] "java -version";
    java_hello ["java", "javac"] "javac Hello.java && java Hello" under &["--memory", "2G"];

    python_print ["python3"] "python3 -c 'print(1)'";
    python_json ["python3"] "python3 -m json.tool data.json";
    python_threads ["python3"] "python3 -c 'import threading; [threading.Thread(target=print).start() for _ in range(20)]'";
    python_processes ["python3"] "python3 -c 'import multiprocessing as m; print(m.Pool(4).map(abs, range(100)))'";
    python_subprocess ["python3"] "python3 -c 'import subprocess; subprocess.check_call([\"ls\", \"/\"])'";
    python_ctypes ["python3"] "python3 -c 'import ctypes; f = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7); print(f())'";
    python_sqlite ["python3"] "python3 -c 'import sqlite3; sqlite3.connect(\"d.db\").execute(\"create table t (a)\")'";
    python_hashing ["python3"] "python3 -c 'import hashlib; print(hashlib.pbkdf2_hmac(\"sha256\", b\"a\", b\"b\", 20000).hex())'";
    python_compile ["python3"] "python3 -m compileall -q wheel.py";
    python_temporary ["python3"] "python3 -c 'import tempfile; d = tempfile.TemporaryDirectory(); open(d.name + \"/x\", \"w\").write(\"y\" * 1000)'";
    python_local_server ["python3"] "python3 -c 'import socket; s = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen(); c = socket.create_connection(s.getsockname()); c.send(b\"hi\"); print(s.accept()[0].recv(2))'" under &["--net", "loopback"];
    python_venv_and_wheel ["python3"] "python3 wheel.py && python3 -m venv v && v/bin/pip install -q --no-index ./demo-1.0-py3-none-any.whl && v/bin/python -c 'import demo; assert demo.answer == 42'" under &["--timeout", "150s"];
    pip_version ["pip"] "pip --version";
    pip_target ["python3", "pip"] "python3 wheel.py && pip install -q --no-index --target site ./demo-1.0-py3-none-any.whl";
    node_print ["node"] "node -e 'console.log(1)'";
    node_hot_loop ["node"] "node -e 'let s = 0; for (let i = 0; i < 3e7; i++) s += i % 7; console.log(s)'";
    node_files ["node"] "node -e 'const fs = require(\"fs\"); for (let i = 0; i < 50; i++) fs.writeFileSync(`n${i}`, \"x\".repeat(i))'";
    node_crypto ["node"] "node -e 'console.log(require(\"crypto\").createHash(\"sha256\").update(\"x\").digest(\"hex\"))'";
    node_worker ["node"] "node -e 'new (require(\"worker_threads\").Worker)(\"1+1\", { eval: true })'";
    node_local_server ["node"] "node -e 'const s = require(\"http\").createServer((q, r) => r.end(\"hi\")).listen(0, \"127.0.0.1\", () => require(\"http\").get({ port: s.address().port, host: \"127.0.0.1\" }, r => { r.resume(); r.on(\"end\", () => s.close()) }))'" under &["--net", "loopback"];
    npm_version ["npm"] "npm --version";
    npm_init ["npm"] "npm init -y --cache ./cache";
    perl_print ["perl"] "perl -e 'print 1'";
    perl_in_place ["perl"] "perl -pi -e s/red/green/ many/*.txt";
    sqlite ["sqlite3"] "sqlite3 d.db < schema.sql";

    git_version ["git"] "git --version";
    git_init ["git"] "git init -q repo";
    git_commit ["git"] "git init -q r && cd r && cp -r ../many . && git add . && git -c user.name=a -c user.email=a@b.c commit -qm first && git log --oneline && git status";
    git_clone_and_gc ["git"] "git init -q r && git -C r -c user.name=a -c user.email=a@b.c commit -q --allow-empty -m x && git clone -q r copy && git -C copy gc -q && git -C copy fsck";

    openssl_random ["openssl"] "openssl rand -hex 16";
    openssl_key ["openssl"] "openssl genrsa -out key.pem 2048";
    openssl_certificate ["openssl"] "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=demo -days 1";
    openssl_encrypt_one ["openssl"] "openssl enc -aes-256-cbc -pbkdf2 -k secret -in notes.txt -out notes.enc";
    ssh_key ["ssh-keygen"] "ssh-keygen -q -t ed25519 -N '' -f ./key";
    gpg_version ["gpg"] "gpg --version";

    ip_addresses ["ip"] "ip addr";
    socket_list ["ss"] "ss -tln";
    curl_refused ["curl"] "curl -s http://127.0.0.1:9/" under &["--net", "loopback"];
    curl_file ["curl"] "curl -s -o copy file:///etc/os-release";
    curl_and_read ["curl", "python3"] "mkdir w; echo hello > w/page; python3 -m http.server --bind 127.0.0.1 --directory w 8931 2>/dev/null & for i in 1 2 3 4 5 6 7 8 9; do curl -sf -o page http://127.0.0.1:8931/page && break; sleep 0.4; done; cat page; kill $!" under &["--net", "loopback"];
    wget_version ["wget"] "wget --version";
    resolver [] "cat /etc/resolv.conf /etc/hosts";
    packages ["dpkg"] "dpkg -l";
    package_policy ["apt-cache"] "apt-cache policy bash";
    busybox_tools ["busybox"] "busybox ls -l /; busybox sha1sum notes.txt";
    tmux_version ["tmux"] "tmux -V";
    locale ["locale"] "locale";
    less_pipe ["less"] "less notes.txt | cat";
    rsync_like ["tar"] "tar cf - many | (mkdir y && cd y && tar xf -)";
    sleep_a_little [] "sleep 0.3";

    bug_report [] "uname -a; cat /etc/os-release; cc --version; df -h .; free -m; locale";
    empty_own_log [] "echo line > app.log; truncate -s 0 app.log; rm app.log";
    delete_found ["find"] "find many -name 2*.txt -delete";
    shred_own_file ["shred"] "shred -u notes.txt";
    times_like_another [] "touch -r /bin/ls notes.txt";
    preserve_times ["tar"] "tar cf a.tar /usr/share/doc/bash; tar xpf a.tar; cp -p /bin/ls .; ./ls";
    many_at_once ["xargs"] "seq 40 | xargs -P 8 -n 1 sh -c 'echo $0'";
    signal_probe [] "sleep 1 & kill -0 $!; kill $!";
    install_staged ["make", "cc"] "printf 'all:\n\tcc -o hello hello.c\ninstall: all\n\tinstall -D hello $(DESTDIR)/usr/bin/hello\n' > M; make -f M install DESTDIR=$PWD/stage; stage/usr/bin/hello";
    copy_and_run [] "cp /bin/echo ./say; ./say hi; rm say";
    run_from_tmp [] "printf '#!/bin/sh\necho hi\n' > /tmp/t.sh; chmod +x /tmp/t.sh; /tmp/t.sh; rm /tmp/t.sh";
    configure_like ["cc"] "for f in stdio stdlib unistd; do echo \"#include <$f.h>\nint main(void) { return 0; }\" > c.c; cc -o c.out c.c && ./c.out; rm -f c.c c.out; done";
    preload_own_library ["cc"] "cc -shared -fPIC -o libanswer.so answer.c; LD_PRELOAD=./libanswer.so ls";
    decode_to_file ["base64"] "base64 notes.txt > n.b64; base64 -d n.b64 > n.txt; cmp n.txt notes.txt";
    dot_files [] "mkdir .cache; echo x > .cache/y; ls -A";
    encrypted_backup ["tar", "openssl"] "tar cz many | openssl enc -aes-256-cbc -pbkdf2 -k secret > backup.enc";
    python_tests ["python3"] "printf 'import unittest\nclass T(unittest.TestCase):\n def test(self): self.assertTrue(1)\n' > test_x.py; python3 -m unittest -q test_x";
    python_regexes ["python3"] "python3 -c 'import re; print(len(re.findall(r\"[0-9]+\", open(\"numbers.txt\").read())))'";
    python_big_memory ["python3"] "python3 -c 'x = bytearray(200 << 20); print(len(x))'";
    python_async ["python3"] "python3 -c 'import asyncio; asyncio.run(asyncio.create_subprocess_exec(\"true\"))'";
    node_child ["node"] "node -e 'require(\"child_process\").execSync(\"ls\", { stdio: \"inherit\" })'";
    node_wasm ["node"] "node -e 'WebAssembly.instantiate(new Uint8Array([0,97,115,109,1,0,0,0])).then(() => console.log(1))'";
    npm_run ["npm"] "printf '{\"scripts\": {\"hi\": \"echo hi\"}}' > package.json; npm run hi --cache ./cache";
    git_stash_and_rebase ["git"] "git init -q r && cd r && git config user.name a && git config user.email a@b.c && echo 1 > f && git add f && git commit -qm 1 && git checkout -qb side && echo 2 > f && git commit -qam 2 && git checkout -q - && git merge -q side && echo 3 > f && git stash -q && git stash pop";
    git_local_push ["git"] "git init -q --bare o.git && git clone -q o.git w && cd w && echo 1 > f && git add f && git -c user.name=a -c user.email=a@b.c commit -qm 1 && git push -q origin HEAD";
    cargo_test ["cargo"] "cargo init -q --vcs none --lib --name demo crate && cd crate && cargo test -q --offline" under &["--timeout", "150s"];
    debugger_version ["gdb"] "gdb --version";
    who_listens ["netstat"] "netstat -tln";
    ping_help ["curl"] "curl --version";
    ssh_version ["ssh"] "ssh -V";
}
