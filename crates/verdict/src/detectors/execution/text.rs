//! Program text in arguments: does it decode something and run it, or fetch something and run it?

use crate::detector::{Finding, Hits};
use crate::timeline::{Image, Timeline};

pub(super) fn obfuscated(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for image in timeline.attempted() {
        if image.text().is_some_and(|text| hides(image, text)) {
            hits.add(image.event, 20, image.exact_name());
        }
    }
    hits.finding("text given to ")
}

fn hides(image: &Image<'_>, text: &str) -> bool {
    let has = |part: &str| text.contains(part);
    let any = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if image.is_shell() {
        return decodes_into_shell(text);
    }
    match image.name() {
        "python" | "pypy" if has("^") && any(&["chr(", "bytes("]) => {
            any(&["exec(", "eval(", "os.system(", "subprocess", "popen("])
        }
        "python" | "pypy" => {
            any(&["exec(", "eval(", "compile(", "os.system(", "subprocess", "__import__("])
                && any(&[
                    "b64decode",
                    "b32decode",
                    "b85decode",
                    "a85decode",
                    "fromhex(",
                    "unhexlify",
                    "zlib.decompress",
                    "marshal.loads",
                    "codecs.decode",
                    "rot13",
                    "rot_13",
                    "[::-1]",
                ])
                && (any(&["exec(", "eval("]) || long_blob(text))
        }
        "perl" => {
            (has("decode_base64") && has("eval"))
                || any(&["eval unpack", "eval(unpack", "eval pack", "eval(pack", "eval (unpack"])
        }
        "ruby" => any(&["eval", "instance_eval"]) && any(&["unpack", "Base64", "decode64"]),
        "php" => {
            any(&["eval(", "assert(", "system(", "exec("])
                && any(&[
                    "base64_decode",
                    "gzinflate",
                    "gzuncompress",
                    "str_rot13",
                    "hex2bin",
                    "strrev(",
                ])
        }
        "node" | "nodejs" | "deno" | "bun" => {
            any(&["eval(", "Function(", "execSync(", "child_process"])
                && any(&["atob(", "'base64'", "\"base64\"", "'hex'", "\"hex\"", "fromCharCode"])
                && (any(&["eval(", "Function("]) || long_blob(text))
        }
        _ => false,
    }
}

fn decodes_into_shell(text: &str) -> bool {
    const DECODERS: &[&str] = &[
        "base64 -d",
        "base64 --decode",
        "base64 -D",
        "base64 -di",
        "base32 -d",
        "xxd -r",
        "xxd -p -r",
        "openssl enc -d",
        "openssl base64 -d",
        "openssl aes-256-cbc -d",
        "uudecode",
        "| rev |",
        "|rev|",
        "b64decode",
    ];
    const PIPED: &[&str] =
        &["sh", "bash", "dash", "zsh", "ksh", "python", "python3", "perl", "xargs"];
    const WRAPPED: &[&str] = &[
        "eval ",
        "eval\"",
        "source <(",
        ". <(",
        "bash <(",
        "sh <(",
        "exec $(",
        "-c \"$(",
        "-c $(",
    ];
    // What is decoded in one statement and what runs in another have nothing to do with each other.
    let statements = text.split([';', '\n']).flat_map(|part| part.split("&&"));
    let decoded_runs = statements.clone().any(|statement| {
        let Some(at) = DECODERS.iter().filter_map(|part| statement.find(part)).min() else {
            return false;
        };
        let (before, after) = statement.split_at(at);
        let piped = after.split('|').skip(1).any(|part| {
            let program = part.split_whitespace().find(|word| *word != "sudo" && *word != "exec");
            program.is_some_and(|word| PIPED.contains(&word.rsplit('/').next().unwrap_or(word)))
        });
        // `$(echo … | base64 -d)` at the start of a command runs what comes out.
        piped
            || WRAPPED.iter().any(|part| before.contains(part))
            || before.trim_start().starts_with("$(")
    });
    let runs = statements
        .clone()
        .any(|part| part.contains("eval ") || part.contains("| sh") || part.contains("| bash"));
    let escapes = text.matches("\\x").count();
    let octal = text.matches("\\1").count() + text.matches("\\0").count();
    let by_bytes = (escapes >= 8 || octal >= 10)
        && (text.contains("$'") || (text.contains("printf") || text.contains("echo -e")) && runs);
    let by_separator = text.matches("${IFS}").count() + text.matches("$IFS").count() >= 3;
    let by_variables = text.matches("${").count() >= 8
        && text.matches(":0:1}").count() + text.matches(":1}").count() >= 4;
    decoded_runs || by_bytes || by_separator || by_variables
}

/// A run of letters of base64 or hexadecimal that is longer than any word or path.
fn long_blob(text: &str) -> bool {
    const BLOB_MIN: usize = 80;
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')))
        .any(|part| part.len() >= BLOB_MIN && part.bytes().any(|b| b.is_ascii_digit()))
}

/// How Python's own text fetches.
const FETCHING: &[&str] =
    &["urlopen(", "urlretrieve(", "requests.get(", "requests.session(", "requests.Session("];

/// `sh -c "$(curl …)"`, `bash <(curl …)`, `eval "$(wget -qO- …)"`, `python -c "$(curl …)"`.
pub(super) fn runs_download(text: &str) -> bool {
    const WAYS: &[&str] = &[
        "bash <(curl",
        "bash <(wget",
        "sh <(curl",
        "sh <(wget",
        "source <(curl",
        "source <(wget",
        ". <(curl",
        "eval \"$(curl",
        "eval \"$(wget",
        "eval $(curl",
        "eval $(wget",
        "eval `curl",
        "eval `wget",
        "sh -c \"$(curl",
        "sh -c \"$(wget",
        "sh -c $(curl",
        "sh -c $(wget",
        "-c \"`curl",
        "-c \"`wget",
        "python3 -c \"$(curl",
        "python -c \"$(curl",
        "perl -e \"$(curl",
        "python3 <(curl",
        "python <(curl",
    ];
    WAYS.iter().any(|way| text.contains(way))
        || FETCHING.iter().any(|part| text.contains(part))
            && ["exec(", "eval(", "os.system(", "os.popen(", "subprocess."]
                .iter()
                .any(|part| text.contains(part))
}
