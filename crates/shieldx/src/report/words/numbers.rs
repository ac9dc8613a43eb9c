//! Numbers as people read them, and lines cut to where they must fit.

use std::borrow::Cow;

/// `1 B`, `12.3 KiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).unwrap_or(&"PiB");
    if tenths % 10 == 0 || tenths >= 1000 {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// `12 ms`, `1.8 s`, `2 min 05 s`.
#[must_use]
pub fn time(ns: u64) -> String {
    let ms = ns / 1_000_000;
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// Seconds with three decimals, for a timeline.
#[must_use]
pub fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

/// `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 process`, `2 processes`.
#[must_use]
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Cuts a line to `width` characters, with an ellipsis where something is missing.
#[must_use]
pub fn cut(line: &str, width: usize) -> Cow<'_, str> {
    if line.chars().count() <= width {
        return Cow::Borrowed(line);
    }
    let mut kept: String = line.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    Cow::Owned(kept)
}

/// The same with the gap in the middle, for lines whose end says how something went.
#[must_use]
pub fn cut_middle(line: &str, width: usize) -> Cow<'_, str> {
    let count = line.chars().count();
    if count <= width {
        return Cow::Borrowed(line);
    }
    let end = width.saturating_sub(1) / 2;
    let head: String = line.chars().take(width.saturating_sub(1 + end)).collect();
    let tail: String = line.chars().skip(count - end).collect();
    Cow::Owned(format!("{head}…{tail}"))
}

/// A path in at most `width` characters: whole folders in the middle give way, never the end of the
/// name.
#[must_use]
pub fn path(path: &str, width: usize) -> Cow<'_, str> {
    if path.chars().count() <= width {
        return Cow::Borrowed(path);
    }
    let name_at = path.trim_end_matches('/').rfind('/').unwrap_or(0);
    let (folders, name) = path.split_at(name_at);
    // What is left beside the name and the gap.
    let Some(mut room) = width.checked_sub(name.chars().count() + 1) else {
        return cut_start(path, width);
    };
    let (mut head, mut tail) = (0, folders.len());
    // Folders are kept from both ends in turn, the outermost first.
    loop {
        let between = folders.get(head..tail).unwrap_or_default();
        let from_start = between.char_indices().skip(1).find(|&(_, c)| c == '/');
        let Some((length, _)) = from_start else { break };
        let cost = between.get(..=length).unwrap_or_default().chars().count();
        if cost > room {
            break;
        }
        (head, room) = (head + length + 1, room - cost);
        let between = folders.get(head..tail).unwrap_or_default();
        let Some(at) = between.rfind('/') else { break };
        let cost = between.get(at..).unwrap_or_default().chars().count();
        if cost > room {
            break;
        }
        (tail, room) = (head + at, room - cost);
    }
    let (start, end) =
        (folders.get(..head).unwrap_or_default(), folders.get(tail..).unwrap_or_default());
    Cow::Owned(format!("{start}…{end}{name}"))
}

/// Keeps the end.
fn cut_start(line: &str, width: usize) -> Cow<'_, str> {
    let count = line.chars().count();
    let tail: String = line.chars().skip(count - width.saturating_sub(1).min(count)).collect();
    Cow::Owned(format!("…{tail}"))
}

/// Breaks text at spaces into lines of at most `width` characters; a longer word is cut.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let word = cut(word, width);
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word.into_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{cut, cut_middle, grouped, path, size, time, wrap};

    #[test]
    fn numbers() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16383 PiB");
        assert_eq!(time(12_400_000), "12 ms");
        assert_eq!(time(1_850_000_000), "1.8 s");
        assert_eq!(time(125_000_000_000), "2 min 05 s");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut_middle("abcdefgh", 5), "ab…gh");
        assert_eq!(cut_middle("abcdefgh", 8), "abcdefgh");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable x", 5), ["unbr…", "x"]);
    }
    #[test]
    fn a_path_gives_way_in_the_middle() {
        let long = "/root/.pyenv/versions/3.11.7/lib/python3.11/site-packages/pk/name.py";
        assert_eq!(path(long, 100), long);
        assert_eq!(path(long, 36), "/root/.pyenv/…/pk/name.py");
        assert_eq!(path(long, 17), "/root/…/name.py");
        assert_eq!(path(long, 12), "…/name.py");
        assert_eq!(path(long, 6), "…me.py");
        assert_eq!(path("/a/b/c/d/folder/", 14), "/a/…/d/folder/");
        for width in 0..80 {
            let shown = path(long, width);
            assert!(shown.chars().count() <= width.max(1), "{shown} at {width}");
            let name = &long[long.len() - width.saturating_sub(1).min(7)..];
            assert!(shown.ends_with(name), "{shown} at {width}");
        }
    }
}
