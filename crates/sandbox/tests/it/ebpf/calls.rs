//! Each kind of event from a program that causes it.

use super::job::{assert_success, run, sh};
use shieldx_types::Kind;

#[test]
fn a_shell_script_is_told_from_exec_to_exit() {
    let Some(record) = run(&mut sh("cd /usr && /bin/echo hi")) else { return };
    assert_success(&record);
    eprintln!("{}", record.list());
    eprintln!("{:#?}", record.summary);
    record.assert_complete();
    assert!(record.any(|kind| matches!(kind, Kind::Exec { .. })));
}
