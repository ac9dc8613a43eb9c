//! Figures, not tests: run by hand with `--ignored --nocapture` on a quiet machine.

use std::time::Instant;

use shieldx_sandbox::monitor::ebpf::probe;

use super::job::run;

#[test]
#[ignore = "prints figures"]
fn load_attach_detach() {
    for _ in 0..10 {
        let start = Instant::now();
        match probe() {
            Ok(probe) => eprintln!("{probe}; in all {:?}", start.elapsed()),
            Err(error) => eprintln!("SKIP eBPF: {error}"),
        }
    }
}
