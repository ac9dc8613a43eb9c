//! The complete environment of a command, made from nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::{HOME, usage};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::view::View;

/// A clean, small environment; nothing of the caller's passes by accident.
pub(super) fn command_env(
    asked: &[OsString],
    view: &View,
    environment: &Environment,
) -> Result<Vec<(OsString, OsString)>, Failure> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    let path: Vec<&OsStr> = view.path.iter().map(|folder| folder.as_os_str()).collect();
    env.push(("PATH".into(), path.join(OsStr::new(":"))));
    for (key, value) in &environment.variables {
        let name = key.to_string_lossy();
        if matches!(&*name, "TERM" | "COLORTERM" | "LANG" | "LANGUAGE" | "TZ")
            || name.starts_with("LC_")
        {
            env.push((key.clone(), value.clone()));
        }
    }
    for (key, value) in
        [("HOME", HOME), ("USER", "sandbox"), ("LOGNAME", "sandbox"), ("SHELL", "/bin/sh")]
    {
        env.push((key.into(), value.into()));
    }
    // The search for leaks at the end of a program built with a sanitizer traces the program, which
    // nobody may here; without this, every such program would fail in the end.
    env.push(("LSAN_OPTIONS".into(), "detect_leaks=0".into()));
    env.extend(view.locations.iter().cloned());
    for text in asked {
        let shown = types::Text::from(text.as_bytes());
        let bytes = text.as_bytes();
        let (key, value) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(0) => return Err(usage(format!("--env {shown}: the name is empty"))),
            Some(at) => {
                let value = bytes.get(at + 1..).unwrap_or_default().to_vec();
                (bytes.get(..at).unwrap_or_default(), OsString::from_vec(value))
            }
            None => match environment.variables.iter().find(|(key, _)| key == text) {
                Some((_, value)) => (bytes, value.clone()),
                None => {
                    return Err(usage(format!("--env {shown}: not set here"))
                        .hint("KEY alone passes the caller's value; KEY=VALUE sets one"));
                }
            },
        };
        let key = OsString::from_vec(key.to_vec());
        env.retain(|(old, _)| *old != key);
        env.push((key, value));
    }
    Ok(env)
}
