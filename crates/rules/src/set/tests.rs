//! The whole set: the same for the same rules, and nothing but facts in a recording.

use super::{LoadError, Options, Set};

#[test]
fn the_same_rules_are_the_same_set() {
    let (one, other) = (Set::built_in(), Set::load(&Options::default()).unwrap());
    assert_eq!(one.sigma_set, other.sigma_set);
    assert_eq!(one.scanner().rule_set(), other.scanner().rule_set());
    assert_eq!(one.sigma_set.source, "built-in");
    assert_eq!(one.sigma_set.sha256.len(), 64);
    let rules = one.rules().unwrap();
    let count =
        |language: &str| rules.iter().filter(|rule| rule.language == language).count() as u64;
    assert_eq!(count("sigma"), one.sigma_set.rules);
    assert_eq!(count("yara"), one.scanner().rule_set().rules);
    assert!(rules.iter().all(|rule| rule.source == "built-in"));
}

#[test]
fn a_folder_changes_the_set_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let rule = "title: x\nid: y\nlogsource: {category: process_creation}\ndetection: {s: {Image: z}, \
                condition: s}\n";
    std::fs::write(folder.path().join("x.yml"), rule).unwrap();
    let with = |built_in| {
        let folder = Some(folder.path().to_owned());
        Set::load(&Options { built_in, folder, ..Options::default() }).unwrap()
    };
    let (both, theirs) = (with(true), with(false));
    assert_eq!(both.sigma_set.rules, Set::built_in().sigma_set.rules + 1);
    assert_ne!(both.sigma_set.sha256, Set::built_in().sigma_set.sha256);
    assert!(both.sigma_set.source.starts_with("built-in, "));
    assert_eq!((theirs.sigma_set.rules, theirs.scanner().rule_set().rules), (1, 0));
    assert_eq!(theirs.rules().unwrap()[0].source, "x.yml");
    let absent = Options { folder: Some(folder.path().join("absent")), ..Options::default() };
    assert!(matches!(Set::load(&absent), Err(LoadError::Folder { .. })));
}
