//! Files that nobody who means well has a reason to touch, made anew for every run.
//!
//! Every file carries marks that are in no other run: whoever sends them read them here. What looks
//! like a credential is random and never was one. Not planted is what everyday tools read by
//! themselves (`~/.npmrc`, `~/.netrc`, `~/.gitconfig`, `~/.ssh/config` …).

mod dates;
mod documents;
mod marks;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::clock::{Clock as _, System};
use sandbox::Decoy;

use marks::Marks;

/// The decoys of one run. None where the command has no home.
pub fn plant(env: &[(std::ffi::OsString, std::ffi::OsString)]) -> Vec<Decoy> {
    let home = env.iter().rev().find(|(name, _)| name == OsStr::new("HOME"));
    let home = home.map(|(_, home)| PathBuf::from(home)).filter(|home| is_a_home(home));
    let (Some(home), Some(mut marks)) = (home, Marks::fresh()) else { return Vec::new() };
    let mut files = secrets(&mut marks);
    files.extend(documents::all(&mut marks));
    let names: Vec<&str> = files.iter().map(|(name, ..)| *name).collect();
    let now = Duration::from_micros(u64::try_from(System.now_us()).unwrap_or(0));
    let dates = dates::of(&names, now, &mut marks);
    let planted = files.into_iter().zip(dates);
    planted
        .map(|((name, mode, content), modified)| Decoy {
            path: home.join(name),
            content,
            mode,
            modified,
        })
        .collect()
}

fn is_a_home(path: &Path) -> bool {
    path.is_absolute() && path.components().count() > 2
}

type File = (&'static str, u32, Vec<u8>);

/// Keys, tokens, a wallet, and what shells read and keep.
fn secrets(marks: &mut Marks) -> Vec<File> {
    let of = |name, mode, text: String| (name, mode, text.into_bytes());
    let aws = format!(
        "[default]\naws_access_key_id = AKIA{}\naws_secret_access_key = {}\n",
        marks.upper(16),
        marks.base64(40)
    );
    let git = format!("https://deploy:ghp_{}@git.{}.example\n", marks.letters(36), marks.lower(8));
    let kube = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: prod\n  cluster:\n    \
         server: https://{}.example:6443\nusers:\n- name: admin\n  user:\n    token: {}\n",
        marks.lower(20),
        marks.letters(64)
    );
    let history = format!(
        "cd shop\nmysql -u shop -p{} orders\nssh deploy@{}.example\nexport TOKEN={}\nls\n",
        marks.letters(24),
        marks.lower(24),
        marks.letters(40)
    );
    let shell = format!("# {}\nalias l='ls -l'\numask 022\n", marks.letters(32));
    let profile = format!("# {}\numask 022\n", marks.letters(32));
    let passwords = format!(
        "bank    {}\nmail    {}\nrouter  {}\n",
        marks.letters(24),
        marks.letters(24),
        marks.letters(24)
    );
    vec![
        of(".aws/credentials", 0o600, aws),
        of(".git-credentials", 0o600, git),
        of(".kube/config", 0o600, kube),
        of(".bash_history", 0o600, history),
        of(".bashrc", 0o644, shell),
        of(".profile", 0o644, profile),
        of("Documents/passwords.txt", 0o600, passwords),
        (".ssh/id_ed25519", 0o600, key_file(marks)),
        (".bitcoin/wallet.dat", 0o600, wallet(marks)),
    ]
}

/// Shaped like OpenSSH's private keys (PROTOCOL.key), with random bytes where the key would be.
fn key_file(marks: &mut Marks) -> Vec<u8> {
    let mut text = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    text.push_str("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAA");
    text.push_str(&marks.base64(14));
    text.push('\n');
    for length in [70, 70, 70, 64] {
        text.push_str(&marks.base64(length));
        text.push('\n');
    }
    text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    text.into_bytes()
}

/// The first page of a Berkeley DB file, as old wallets are, and keys nobody has.
fn wallet(marks: &mut Marks) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([0x62, 0x31, 0x05, 0x00, 0x09, 0, 0, 0, 0, 0x10, 0, 0]);
    bytes.resize(4096, 0);
    for _ in 0..64 {
        bytes.extend(b"key");
        bytes.extend(marks.letters(60).into_bytes());
        bytes.push(b'\n');
        bytes.resize(bytes.len().next_multiple_of(256), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::plant;

    fn planted(home: &str) -> Vec<sandbox::Decoy> {
        plant(&[("HOME".into(), home.into())])
    }

    #[test]
    fn every_run_has_its_own_and_no_two_files_say_the_same() {
        let (one, two) = (planted("/home/sandbox"), planted("/home/sandbox"));
        assert!(one.len() >= 15);
        let lines = |decoys: &[sandbox::Decoy]| -> Vec<Vec<u8>> {
            let all = decoys.iter().flat_map(|decoy| decoy.content.split(|byte| *byte == b'\n'));
            let ends = all.map(|line| line[line.len().saturating_sub(24)..].to_vec());
            // What is short or dull is not looked for in what is sent.
            ends.filter(|end| end.len() >= 16 && end.iter().collect::<BTreeSet<_>>().len() >= 8)
                .collect()
        };
        let (of_one, of_two) = (lines(&one), lines(&two));
        let told: BTreeSet<_> = of_one.iter().collect();
        let shared: Vec<_> = of_two.iter().filter(|line| told.contains(line)).collect();
        let shown: Vec<_> = shared.iter().map(|line| String::from_utf8_lossy(line)).collect();
        // Borders of keys, which nobody looks for, and what a file format begins with.
        assert!(shown.iter().all(|line| line.contains("PRIVATE KEY-----")), "{shown:?}");
    }

    #[test]
    fn documents_are_large_enough_and_what_their_names_say() {
        let all = planted("/home/sandbox");
        let of = |ending: &str| -> Vec<&sandbox::Decoy> {
            all.iter().filter(|decoy| decoy.path.to_string_lossy().ends_with(ending)).collect()
        };
        for (ending, begin) in
            [(".docx", "PK\x03\x04"), (".xlsx", "PK\x03\x04"), (".pdf", "%PDF-1.4")]
        {
            assert!(!of(ending).is_empty());
            for decoy in of(ending) {
                assert!(decoy.content.starts_with(begin.as_bytes()), "{}", decoy.path.display());
                assert!(decoy.content.len() > 8 << 10, "{}", decoy.path.display());
            }
        }
        assert!(all.iter().map(|decoy| decoy.content.len()).sum::<usize>() < 1 << 20);
    }

    #[test]
    fn nobody_without_a_home_has_them() {
        assert!(planted("/").is_empty());
        assert!(planted("/root").is_empty());
        assert!(plant(&[]).is_empty());
    }
}
