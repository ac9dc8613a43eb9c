//! The interpreter line of a script, read as the kernel reads it (execve(2)).

use types::Text;

use super::Refused;

/// The kernel reads this much of a file to find its interpreter (`BINPRM_BUF_SIZE`).
const LINE_MAX_BYTES: usize = 256;

/// Whether the kernel will find an interpreter in the first line. Whether that exists inside is for
/// the sandbox to say.
pub(super) fn check(head: &[u8]) -> Result<(), Refused> {
    let bad = |what: String| Err(Refused::BadInterpreterLine { what });
    let looked_at = head.get(..LINE_MAX_BYTES).unwrap_or(head);
    let end = looked_at.iter().position(|&byte| byte == b'\n');
    if end.is_none() && head.len() > LINE_MAX_BYTES {
        return bad(format!("its interpreter line is longer than {LINE_MAX_BYTES} bytes"));
    }
    let line = looked_at.get(2..end.unwrap_or(looked_at.len())).unwrap_or_default();
    if line.ends_with(b"\r") {
        return bad(
            "its interpreter line ends in CR LF (Windows line ends), and the kernel would look for \
             a program whose name ends in CR; convert it to LF line ends"
                .to_owned(),
        );
    }
    let line = line.trim_ascii();
    let space = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    let (name, argument) =
        line.split_at_checked(space.unwrap_or(line.len())).unwrap_or((line, b""));
    if name.is_empty() {
        return bad("its interpreter line (#!) names no interpreter".to_owned());
    }
    if name.contains(&0) {
        return bad("its interpreter line has a NUL byte".to_owned());
    }
    if !name.starts_with(b"/") {
        let name = Text::from(name);
        return bad(format!(
            "its interpreter line names {name}, and an interpreter is named by its whole path"
        ));
    }
    if name.ends_with(b"/env") && argument.trim_ascii().is_empty() {
        return bad("its interpreter line asks env for nothing".to_owned());
    }
    Ok(())
}
