//! Documents as people have them: text, a Word and an Excel file, PDFs. Large enough that somebody
//! who encrypts them is seen doing so; each line ends with a mark.

use std::fmt::Write as _;

use super::File;
use super::marks::Marks;

const WORDS: [&str; 24] = [
    "invoice", "meeting", "quarter", "budget", "customer", "delivery", "contract", "offer",
    "draft", "review", "project", "travel", "account", "payment", "tax", "supplier", "order",
    "report", "deadline", "holiday", "office", "server", "licence", "salary",
];

pub(super) fn all(marks: &mut Marks) -> Vec<File> {
    let text = |marks: &mut Marks| prose(marks, 120).into_bytes();
    vec![
        ("Documents/notes.txt", 0o644, text(marks)),
        ("Documents/contacts.csv", 0o644, table(marks, 200).into_bytes()),
        ("Documents/budget.xlsx", 0o644, sheet(marks)),
        ("Documents/contract.docx", 0o644, letter(marks)),
        ("Documents/offer.docx", 0o644, letter(marks)),
        ("Documents/invoice-0417.pdf", 0o644, page(marks)),
        ("Documents/invoice-0418.pdf", 0o644, page(marks)),
        ("Desktop/todo.txt", 0o644, text(marks)),
        ("Desktop/plan.docx", 0o644, letter(marks)),
        ("Pictures/scan-passport.pdf", 0o644, page(marks)),
    ]
}

fn prose(marks: &mut Marks, lines: usize) -> String {
    let mut text = String::new();
    for _ in 0..lines {
        for _ in 0..9 {
            text.push_str(WORDS[marks.below(WORDS.len())]);
            text.push(' ');
        }
        text.push_str(&marks.letters(24));
        text.push('\n');
    }
    text
}

fn table(marks: &mut Marks, rows: usize) -> String {
    (0..rows)
        .map(|row| {
            let (name, word) = (marks.lower(9), WORDS[marks.below(WORDS.len())]);
            format!("{row},{word},{name}@{}.example\n", marks.lower(16))
        })
        .collect()
}

fn letter(marks: &mut Marks) -> Vec<u8> {
    let paragraphs: String = prose(marks, 110)
        .lines()
        .map(|line| format!("<w:p><w:r><w:t>{line}\n</w:t></w:r>\n</w:p>"))
        .collect();
    let names = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
    let mark = marks.letters(24);
    let body = format!(
        "<w:document xmlns:w=\"{names}\"><w:body><!--{mark}-->\n{paragraphs}\n</w:body></w:document>"
    );
    package(marks, "word/document.xml", body, "wordprocessingml.document")
}

fn sheet(marks: &mut Marks) -> Vec<u8> {
    let rows: String = table(marks, 220)
        .lines()
        .map(|line| format!("<row><c t=\"inlineStr\"><is><t>{line}\n</t></is>\n</c></row>"))
        .collect();
    let names = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let mark = marks.letters(24);
    let body = format!(
        "<worksheet xmlns=\"{names}\"><!--{mark}-->\n<sheetData>\n{rows}\n</sheetData></worksheet>"
    );
    package(marks, "xl/worksheets/sheet1.xml", body, "spreadsheetml.worksheet")
}

/// An Open Packaging container: a zip file of stored members.
fn package(marks: &mut Marks, part: &str, body: String, kind: &str) -> Vec<u8> {
    let types = format!(
        "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Override \
         PartName=\"/{part}\" ContentType=\"application/vnd.openxmlformats-officedocument.{kind}+xml\"/></Types>"
    );
    zip(&[("[Content_Types].xml", types), (part, body)], &marks.letters(24))
}

/// APPNOTE.TXT of the zip format, version 2.0, method 0.
fn zip(members: &[(&str, String)], comment: &str) -> Vec<u8> {
    let long = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let short = |value: usize| u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in members {
        let start = bytes.len();
        let mut shared = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x58];
        shared.extend(crc32fast::hash(text.as_bytes()).to_le_bytes());
        shared.extend(long(text.len()));
        shared.extend(long(text.len()));
        shared.extend(short(name.len()));
        shared.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&shared);
        bytes.extend(name.as_bytes());
        bytes.extend(text.as_bytes());
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&shared);
        directory.extend([0; 10]);
        directory.extend(long(start));
        directory.extend(name.as_bytes());
    }
    let start = bytes.len();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(short(members.len()));
    bytes.extend(short(members.len()));
    bytes.extend(long(directory.len()));
    bytes.extend(long(start));
    bytes.extend(short(comment.len()));
    bytes.extend(comment.as_bytes());
    bytes
}

fn page(marks: &mut Marks) -> Vec<u8> {
    let lines: String = prose(marks, 110).lines().map(|line| format!("({line}) Tj T*\n")).collect();
    let stream = format!("BT /F1 9 Tf\n40 800 Td\n10 TL\n{lines}ET");
    let mut text = String::from("%PDF-1.4\n");
    let mut starts = Vec::new();
    let objects = [
        short_lines("<</Type/Catalog/Pages 2 0 R>>"),
        short_lines("<</Type/Pages/Kids[3 0 R]/Count 1>>"),
        short_lines("<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"),
        format!("<</Length {}>>\nstream\n{stream}\nendstream", stream.len()),
        short_lines("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"),
    ];
    for (number, object) in (1..).zip(objects) {
        starts.push(text.len());
        let _ = write!(text, "{number} 0 obj\n{object}\nendobj\n");
    }
    let xref = text.len();
    text.push_str("xref\n0 6\n0000000000 65535 f \n");
    for start in starts {
        let _ = writeln!(text, "{start:010} 00000 n ");
    }
    let _ = write!(text, "trailer\n<<\n/Size 6\n/Root 1 0 R>>\nstartxref\n{xref}\n%%EOF\n");
    text.into_bytes()
}

/// What every PDF says must not look like a mark of this one: such lines are kept short.
fn short_lines(object: &str) -> String {
    object.replace('/', "\n/")
}
