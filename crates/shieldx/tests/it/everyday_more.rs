//! Everyday commands that nothing was tuned on: neither in `everyday` nor in the corpus. Benign, on
//! full evidence, without a single detection, and with the exit code they have outside.

use crate::everyday::check;

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
        fn there_are_more_than_twenty_of_them() {
            assert!([$(stringify!($name)),*].len() > 20);
        }
    };
}

everyday! {
    address_sanitizer ["gcc"] "gcc -g -fsanitize=address,undefined -o hello hello.c && ASAN_OPTIONS=detect_leaks=0 ./hello";
    profile_guided ["gcc"] "gcc -O2 -fprofile-generate -o a.out hello.c && ./a.out && gcc -O2 -fprofile-use -o a.out hello.c && ./a.out";
    link_time ["gcc"] "gcc -O2 -flto -static -o a.out hello.c && ./a.out";
    coverage ["gcc", "gcov"] "gcc --coverage -o hello hello.c && ./hello && gcov hello-hello.gcda";
    separate_debug_file ["gcc", "objcopy"] "gcc -g -o hello hello.c && objcopy --only-keep-debug hello hello.debug && strip hello && objcopy --add-gnu-debuglink=hello.debug hello && ./hello";
    shared_library_by_name ["gcc"] "gcc -shared -fPIC -o libanswer.so answer.c && printf 'int answer(void); int main(void) { return answer() - 42; }' > m.c && gcc -o m m.c -L. -lanswer && LD_LIBRARY_PATH=. ./m";
    rust_tests ["rustc"] "printf '#[test] fn adds() { assert_eq!(1 + 1, 2); }' > t.rs && rustc --test -o t t.rs && ./t";
    rust_optimised ["rustc"] "rustc -C opt-level=3 -C lto=fat -C panic=abort -o hello hello.rs && ./hello" under &["--timeout", "150s"];
    cargo_macro ["cargo"] "cargo init -q --vcs none --name demo d && cargo init -q --vcs none --lib --name mac d/mac && printf '[lib]\nproc-macro = true\n' >> d/mac/Cargo.toml && printf 'use proc_macro::TokenStream;\n#[proc_macro] pub fn answer(_: TokenStream) -> TokenStream { \"42\".parse().unwrap() }\n' > d/mac/src/lib.rs && printf 'mac = { path = \"mac\" }\n' >> d/Cargo.toml && echo 'fn main() { assert_eq!(mac::answer!(), 42) }' > d/src/main.rs && cd d && cargo run -q --offline" under &["--timeout", "150s"];
    cargo_documentation ["cargo", "rustdoc"] "cargo init -q --vcs none --lib --name demo d && cd d && cargo doc -q --offline" under &["--timeout", "150s"];
    pip_wheel_of_a_folder ["python3", "pip"] "mkdir p && printf 'from setuptools import setup\nsetup(name=\"p\", version=\"1\", py_modules=[\"m\"])\n' > p/setup.py && echo answer=42 > p/m.py && cd p && python3 setup.py -q sdist && ls dist" under &["--timeout", "150s"];
    pip_checks ["pip"] "pip check; pip list" under &["--timeout", "150s"];
    python_zip_program ["python3"] "mkdir app && echo 'print(42)' > app/__main__.py && python3 -m zipapp app && python3 app.pyz";
    python_shared_memory ["python3"] "python3 -c 'from multiprocessing import shared_memory as s; m = s.SharedMemory(create=True, size=4096); m.buf[0] = 7; m.close(); m.unlink()'";
    python_profile ["python3"] "python3 -m cProfile -s cumtime wheel.py";
    python_pseudo_terminal ["python3"] "python3 -c 'import pty; pty.spawn([\"ls\", \"-l\"])'";
    python_signals ["python3"] "python3 -c 'import os, signal; signal.signal(10, lambda *a: print(a[0])); os.kill(os.getpid(), 10)'";
    node_tests ["node"] "printf 'require(\"node:test\")(\"adds\", () => require(\"node:assert\").equal(1 + 1, 2))' > t.test.js && node --test";
    node_streams ["node"] "node -e 'const f = require(\"fs\"), z = require(\"zlib\"); require(\"stream\").pipeline(f.createReadStream(\"numbers.txt\"), z.createGzip(), f.createWriteStream(\"n.gz\"), e => { if (e) throw e })'";
    node_cluster ["node"] "node -e 'const c = require(\"cluster\"); if (c.isPrimary) { c.fork(); c.fork() } else process.exit(0)'";
    npm_pack ["npm"] "printf '{\"name\": \"demo\", \"version\": \"1.0.0\"}' > package.json && npm pack --cache ./cache";
    npm_link_folder ["npm"] "mkdir lib && printf '{\"name\": \"lib\", \"version\": \"1.0.0\"}' > lib/package.json && printf '{\"name\": \"app\", \"version\": \"1.0.0\", \"dependencies\": {\"lib\": \"file:lib\"}}' > package.json && npm install --offline --cache ./cache && npm ls --cache ./cache";
    java_archive_run ["java", "javac", "jar"] "javac Hello.java && jar cfe h.jar Hello Hello.class && java -jar h.jar" under &["--memory", "2G"];
    perl_modules ["perl"] "perl -MPOSIX -MData::Dumper -MFile::Find -e 'find(sub { print $File::Find::name }, \"many\"); print Dumper(POSIX::uname())'";
    debian_package ["dpkg-deb"] "mkdir -p d/DEBIAN d/usr/share/demo && printf 'Package: demo\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n' > d/DEBIAN/control && cp notes.txt d/usr/share/demo && dpkg-deb -b d demo.deb && dpkg-deb -x demo.deb out && dpkg-deb -I demo.deb";
    apt_show ["apt-cache"] "apt-cache show bash; apt-cache depends tar";
    git_patches ["git"] "git init -q r && cd r && git config user.name a && git config user.email a@b.c && echo 1 > f && git add f && git commit -qm 1 && echo 2 > f && git commit -qam 2 && git format-patch -q -1 && git reset -q --hard HEAD~1 && git am -q 0001-2.patch";
    git_worktree ["git"] "git init -q r && git -C r -c user.name=a -c user.email=a@b.c commit -q --allow-empty -m x && git -C r worktree add -q ../w && git -C r worktree list";
    sqlite_dump ["sqlite3"] "sqlite3 a.db < schema.sql && sqlite3 a.db .dump | sqlite3 b.db && sqlite3 b.db vacuum";
    openssl_sign ["openssl"] "openssl genpkey -algorithm ed25519 -out k.pem && openssl pkeyutl -sign -rawin -inkey k.pem -in notes.txt -out n.sig && openssl speed -seconds 1 -bytes 1024 sha256";
    disk_image ["mkfs.ext4"] "truncate -s 8M disk.img && mkfs.ext4 -q disk.img";
    virtual_disk ["qemu-img"] "qemu-img create -q -f qcow2 d.qcow2 64M && qemu-img info d.qcow2";
    records ["join", "paste"] "sort numbers.txt > a; sort -u numbers.txt > b; join a b | paste - - | tail -1; comm -12 a b | wc -l";
    process_substitution ["bash"] "bash -c 'diff <(sort notes.txt) <(sort -r notes.txt); coproc cat; echo hi >&${COPROC[1]}; read -r x <&${COPROC[0]}; echo $x'";
    typescript_of_a_session ["script"] "script -qec 'ls -l' session.log";
    limits_and_affinity ["prlimit", "taskset"] "ulimit -a; prlimit; taskset -p $$; ulimit -n 64; ls";
    lock_and_line_buffers ["flock", "stdbuf"] "flock -n lock true; stdbuf -oL cat notes.txt";
    encodings ["iconv"] "iconv -f UTF-8 -t UTF-16 notes.txt | iconv -f UTF-16 -t UTF-8 | cmp - notes.txt";
    macros ["m4"] "echo 'define(`x', `42')x' | m4";
    parallel_find ["find", "xargs"] "find many -print0 | xargs -0 -n 20 -P 4 sha1sum | sort | tail -1";
    calendar_and_sequence ["factor"] "factor 1234567890; seq -s, 1 100; date -d '2024-02-29 +1 year' +%F; numfmt --to=iec 123456789";
}
