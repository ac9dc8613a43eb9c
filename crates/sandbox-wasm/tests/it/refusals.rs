//! Imports that nobody granted, by their names.

use sandbox::MonitorChoice;

use crate::kit::{Bench, preview1};

#[test]
fn imports_that_are_not_granted_are_refused_by_name_with_the_flag_that_would_help() {
    let p1 = |name: &str| preview1(name, "", "");
    let foreign = r#"(module (import "env" "foo" (func)))"#.to_owned();
    let memory = r#"(module (import "wasi_snapshot_preview1" "memory" (memory 1)))"#.to_owned();
    let sockets = r#"(module (import "wasi_snapshot_preview1" "sock_connect" (func)))"#.to_owned();
    for (text, expect) in [
        (foreign, "imports env.foo, which no capability gives"),
        (memory, "imports wasi_snapshot_preview1.memory, which no capability gives"),
        (sockets, "imports wasi_snapshot_preview1.sock_connect, which no capability gives"),
        (
            p1("sock_accept"),
            "imports wasi_snapshot_preview1.sock_accept, which no capability gives",
        ),
        (
            p1("clock_time_get"),
            "imports wasi_snapshot_preview1.clock_time_get, which is not granted; --grant clock would grant it",
        ),
        (
            p1("random_get"),
            "wasi_snapshot_preview1.random_get, which is not granted; --grant random would",
        ),
        (
            p1("path_open"),
            "wasi_snapshot_preview1.path_open, which is not granted; --grant filesystem:DIR[:rw] would",
        ),
    ] {
        let reason = Bench::new(&text).refusal();
        assert!(reason.contains(expect), "{reason}");
    }
}

#[test]
fn components_are_refused_in_the_same_way() {
    let run = r#"(instance $x) (export "wasi:cli/run@0.2.3" (instance $x))"#;
    for (import, expect) in [
        (
            r#"(import "wasi:sockets/tcp@0.2.0" (instance (export "f" (func))))"#,
            "wasi:sockets/tcp@0.2.0.f, which is not granted; --grant network:HOST:PORT would grant it",
        ),
        (
            r#"(import "wasi:sockets/tcp@0.2.0" (instance))"#,
            "wasi:sockets/tcp@0.2.0, which is not granted",
        ),
        (
            r#"(import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func))))"#,
            "wasi:http/outgoing-handler@0.2.0.handle, which no capability gives",
        ),
        (r#"(import "foo" (func))"#, "imports foo, which no capability gives"),
    ] {
        let reason = Bench::new(&format!("(component {import} {run})")).refusal();
        assert!(reason.contains(expect), "{reason}");
    }
    let reason = Bench::new("(component)").refusal();
    assert!(reason.contains("exports no wasi:cli/run"), "{reason}");
}

#[test]
fn a_module_of_which_nothing_would_run_is_refused() {
    for text in ["(module)", r#"(module (func (export "run")))"#] {
        assert!(Bench::new(text).refusal().contains("neither _start nor _initialize"), "{text}");
    }
    for text in ["(module (func $f) (start $f))", r#"(module (func (export "_initialize")))"#] {
        assert_eq!(Bench::new(text).run().run.ending, types::Ending::Exited { code: 0 }, "{text}");
    }
}

/// A library with one harmless function that is called and a hundred others is not known.
#[test]
fn what_of_a_library_is_not_called_is_said() {
    let unseen = |text: &str| -> Vec<String> {
        let walls = Bench::new(text).run().run.isolation.walls.into_iter();
        walls.filter(|wall| wall.name == "artifact" && !wall.on).map(|wall| wall.detail).collect()
    };
    let others: String = (0..9).map(|n| format!("(func (export \"f{n}\\n\"))")).collect();
    for entry in ["(func (export \"_initialize\"))", "(func $f) (start $f)"] {
        let said = unseen(&format!("(module {entry} (memory (export \"memory\") 1) {others})"));
        assert!(said[0].starts_with("9 exported functions were not called (f0\\n, "), "{said:?}");
        assert!(said[0].contains("f7\\n, …)"), "{said:?}");
        assert!(unseen(&format!("(module {entry} (memory (export \"memory\") 1))")).is_empty());
    }
    let command = format!("(module (func (export \"_start\")) {others})");
    assert!(unseen(&command).is_empty());
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let bench = |grant: &str| Bench::new("(module)").grant(grant);
    for (grant, expect) in [
        ("everything", "unknown capability `everything`"),
        ("filesystem:/no/such/folder", "/no/such/folder is not a folder"),
        ("filesystem:data", "absolute folder"),
    ] {
        let reason = bench(grant).refusal();
        assert!(reason.contains(expect), "{reason}");
    }
    let (mut bench, _) = Bench::new("(module)").folder("/data", false);
    bench.spec.wasm.grants = vec!["filesystem:/data:rw".to_owned()];
    assert!(bench.refusal().contains("mounted read-only"));
    for net in [sandbox::Net::Sink, sandbox::Net::Loopback] {
        let mut bench = Bench::new("(module)");
        bench.spec.net = net;
        assert!(bench.refusal().contains("network:HOST:PORT"));
    }
    let mut bench = Bench::new("(module)");
    bench.spec.artifacts.snapshot = Some(bench.dir.path().join("snapshot.tar"));
    assert!(bench.refusal().contains("no snapshot"));
    for monitor in [MonitorChoice::Ebpf, MonitorChoice::Notify, MonitorChoice::Off] {
        let mut bench = Bench::new("(module)");
        bench.spec.monitor = monitor;
        let ran = sandbox::Runner::run(&sandbox_wasm::Wasm, &bench.spec);
        assert!(matches!(ran, Err(sandbox::RunError::Monitor { .. })), "{monitor:?}");
    }
    let mut bench = Bench::new("(module)");
    std::fs::write(&bench.spec.program, "#!/bin/sh").unwrap();
    assert!(bench.refusal().contains("no WebAssembly"));
    bench.spec.program = bench.dir.path().join("not there");
    assert!(matches!(
        sandbox::Runner::run(&sandbox_wasm::Wasm, &bench.spec),
        Err(sandbox::RunError::Setup { .. })
    ));
}
