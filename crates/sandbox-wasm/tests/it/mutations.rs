//! Damaged modules: never a panic, never a long wait, and what is accepted compiles.

use crate::kit::preview1;

/// A small generator with a fixed seed (xorshift, Marsaglia 2003): a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

fn mutate(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            1 => bytes[at] ^= 1 << dice.below(8),
            2 => bytes.truncate(at.max(9)),
            3 => bytes.insert(at, 0x80),
            4 => {
                let end = (at + dice.below(16)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes[at] = 0xff,
        }
    }
    bytes
}

fn seeds() -> Vec<Vec<u8>> {
    let body = "(block (loop (br_if 1 (i32.load (i32.const 4))) (br 0)))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";
    let texts = [
        preview1("fd_write path_open random_get proc_exit", r#"(data (i32.const 0) "abc")"#, body),
        "(module (table 4 funcref) (elem (i32.const 0) $f $f) (global (mut i64) (i64.const 3))
          (func $f (param i32 i64) (result i32) (local f32 f64) (br_table 0 0 0 (i32.const 1) (local.get 0)))
          (start $g) (func $g (drop (call_indirect (param i32 i64) (result i32) (i32.const 1) (i64.const 2) (i32.const 0)))))"
            .to_owned(),
        include_str!("wat/random.wat").to_owned(),
        include_str!("wat/stdout.wat").to_owned(),
    ];
    texts.iter().map(|text| wat::parse_str(text).unwrap()).collect()
}

#[test]
fn damaged_modules_neither_panic_nor_hang_the_analyser() {
    let mut dice = Dice(0x5eed_5eed_5eed_5eed);
    let mut accepted = 0;
    for seed in seeds() {
        for _ in 0..1_500 {
            let bytes = mutate(&seed, &mut dice);
            accepted += u32::from(sandbox_wasm::analyse(&bytes).is_ok());
        }
    }
    // Some survive, or nothing deep was tried.
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn damaged_modules_that_are_accepted_run_or_are_refused() {
    let mut dice = Dice(0x0dd5_eed0_0dd5_eed0);
    for seed in seeds() {
        for _ in 0..60 {
            let bytes = mutate(&seed, &mut dice);
            if sandbox_wasm::analyse(&bytes).is_err() {
                continue;
            }
            let mut bench = crate::kit::Bench::binary(&bytes).grant("random").grant("clock");
            bench.spec.limits.timeout_ms = 100;
            match sandbox::Runner::run(&sandbox_wasm::Wasm, &bench.spec) {
                Ok(recording) => crate::kit::balanced(&recording),
                Err(sandbox::RunError::Refused { reason }) => {
                    // The analyser knows what the compiler takes.
                    assert!(!reason.contains("could not be compiled"), "{reason}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn ten_megabytes_of_branch_tables_are_refused_at_their_beginning() {
    // One function of blocks around tables that each have a thousand targets.
    let leb = |mut value: u32| {
        let mut out = Vec::new();
        loop {
            let low = u8::try_from(value & 0x7f).unwrap();
            value >>= 7;
            if value == 0 {
                out.push(low);
                return out;
            }
            out.push(low | 0x80);
        }
    };
    let mut table = vec![0x41, 0, 0x0e];
    table.extend(leb(1_000));
    table.extend([0; 1_001]);
    let mut body = vec![0];
    for _ in 0..800 {
        body.extend([0x02, 0x40]);
        body.extend(&table);
        body.push(0x0b);
    }
    body.push(0x0b);
    let mut code = leb(12);
    for _ in 0..12 {
        code.extend(leb(u32::try_from(body.len()).unwrap()));
        code.extend(&body);
    }
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    bytes.extend([1, 4, 1, 0x60, 0, 0, 3, 13, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.push(10);
    bytes.extend(leb(u32::try_from(code.len()).unwrap()));
    bytes.extend(code);
    assert!(bytes.len() > 9 << 20);
    // It was found where the bound was passed, and nothing behind it was read.
    let error = sandbox_wasm::analyse(&bytes).unwrap_err();
    let sandbox_wasm::AnalysisError::TooLarge { what, offset, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(what, "branch targets");
    assert!(offset < 1 << 20, "{offset}");
}

#[test]
fn the_dearest_modules_that_are_accepted_compile() {
    // Each near a bound: locals alive across loops and across blocks, branch targets, depth, code.
    let alive = |locals: u32, inside: &str| {
        let set = |n| format!("(local.set {n} (i64.add (local.get {n}) (i64.const {n})))");
        let set: String = (0..locals).map(set).collect();
        let locals = "i64 ".repeat(usize::try_from(locals).unwrap());
        format!("(module (func (local {locals}) {set} {inside} {set}))")
    };
    let loops = "(loop (br_if 0 (i32.const 0)))".repeat(400);
    let block = |n: u32| {
        format!("(block (br_if 0 (i32.wrap_i64 (local.get 0))) (local.set {n} (i64.const 3)))")
    };
    let blocks: String = (0..1_990).map(|n| block(n % 1_000)).collect();
    let table = format!("(br_table {} (i32.const 0))", "0 ".repeat(10_000));
    let depth = 1_990;
    for (name, text) in [
        ("loops", alive(490, &loops)),
        ("blocks", alive(1_000, &blocks)),
        ("targets", format!("(module (func {}))", format!("(block {table})").repeat(49))),
        ("depth", format!("(module (func {}{}))", "loop ".repeat(depth), "end ".repeat(depth))),
        (
            "code",
            format!(
                "(module (func (result i32) (i32.const 1) {}))",
                "(i32.const 3) i32.mul ".repeat(300_000)
            ),
        ),
    ] {
        // What is compiled is not called.
        let text = text.replacen("(module", "(module (func (export \"_start\"))", 1);
        let recording = crate::kit::Bench::new(&text).run();
        assert_eq!(recording.run.ending, types::Ending::Exited { code: 0 }, "{name}");
    }
}
