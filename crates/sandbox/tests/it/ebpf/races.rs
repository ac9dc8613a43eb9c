//! Arguments that another thread changes while a call looks at them.

use types::Kind;

use super::calls::{run_c, text};

/// One thread flips the path that another passes, between a file that holds `a` and one that holds
/// `b`; what was really opened is told by what is read from it.
#[test]
fn an_argument_that_is_raced_is_told_as_it_was_or_as_advisory() {
    let Some((record, folder)) = run_c(
        "raced",
        r#"
	static volatile char path[] = "a";
	void *flip(void *none)
	{
		for (;;) {
			path[0] = 'b';
			path[0] = 'a';
		}
	}
	int a = open("a", O_CREAT | O_WRONLY, 0600), b = open("b", O_CREAT | O_WRONLY, 0600);
	write(a, "a", 1);
	write(b, "b", 1);
	pthread_t t;
	pthread_create(&t, 0, flip, 0);
	for (int i = 0; i < 2000; i++) {
		char is = 0;
		int fd = open((char *)path, O_RDWR);
		read(fd, &is, 1);
		fchmod(fd, is == 'a' ? 0600 : 0640);
		close(fd);
		chmod((char *)path, 0644);
		mkdir((char *)path, 0700);
		rmdir((char *)path);
		truncate((char *)path, 1);
		link((char *)path, (char *)path);
		char *none[] = { 0 };
		execve((char *)path, none, none);
	}
"#,
    ) else {
        return;
    };
    let ours = [text(&folder, "a"), text(&folder, "b")];
    let (mut by_descriptor, mut by_name) = ([0; 2], 0);
    for event in &record.events {
        match &event.kind {
            Kind::Open { path, .. } if ours.contains(path) && event.happened() => {
                assert!(!event.advisory, "{event:?}");
            }
            Kind::Chmod { path, mode } if *mode != 0o644 => {
                let which = usize::from(*mode == 0o640);
                assert_eq!((path, event.advisory), (&ours[which], false));
                by_descriptor[which] += 1;
            }
            Kind::Chmod { .. }
            | Kind::Mkdir { .. }
            | Kind::Unlink { .. }
            | Kind::Truncate { .. }
            | Kind::Link { .. } => {
                assert!(event.advisory, "{event:?}");
                by_name += 1;
            }
            Kind::Exec { argv, .. } if argv.is_empty() => assert!(event.advisory, "{event:?}"),
            _ => {}
        }
    }
    assert_eq!(by_descriptor.iter().sum::<i32>(), 2000);
    assert_eq!(by_name, 10_000);
}
