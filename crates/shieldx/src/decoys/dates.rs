//! When decoys were last written: a home that somebody has lived in for a year or two. What was all
//! made in one moment, and that a moment ago, was made for whoever looks.

use std::time::Duration;

use super::marks::Marks;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A time since 1970 for each of these files, in their order.
pub(super) fn of(names: &[&str], now: Duration, marks: &mut Marks) -> Vec<Duration> {
    let mut between = |from: Duration, to: Duration| {
        let span = u64::try_from(to.saturating_sub(from).as_nanos()).unwrap_or(u64::MAX);
        from + Duration::from_nanos(marks.up_to(span))
    };
    let ago = |time: Duration| now.saturating_sub(time);
    // The account is made with what every account gets; keys come with the first work.
    let born = between(ago(900 * DAY), ago(400 * DAY));
    let mut dates: Vec<Duration> = names
        .iter()
        .map(|name| match *name {
            ".bashrc" | ".profile" => between(born, born + Duration::from_secs(1)),
            ".ssh/id_ed25519" => between(born + HOUR, born + 20 * DAY),
            // A shell writes it when it ends.
            ".bash_history" => between(ago(60 * HOUR), ago(HOUR)),
            _ => between(born + 20 * DAY, ago(3 * DAY)),
        })
        .collect();
    // Who numbers documents writes them one after the other.
    let numbered: Vec<usize> =
        (0..names.len()).filter(|at| names[*at].contains("invoice-")).collect();
    let mut written: Vec<Duration> = numbered.iter().map(|at| dates[*at]).collect();
    written.sort();
    for (at, date) in numbered.into_iter().zip(written) {
        dates[at] = date;
    }
    dates
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::time::Duration;

    use super::DAY;
    use crate::decoys::plant;

    #[test]
    fn decoys_are_of_different_times_in_an_order_that_a_life_has() {
        let plant = || plant(&[("HOME".into(), "/home/sandbox".into())]);
        let all = plant();
        let date = |name: &str| -> Duration {
            let path = Path::new("/home/sandbox").join(name);
            all.iter().find(|decoy| decoy.path == path).unwrap().modified
        };
        let dates: BTreeSet<Duration> = all.iter().map(|decoy| decoy.modified).collect();
        assert_eq!(dates.len(), all.len());
        assert!(dates.last().unwrap().saturating_sub(*dates.first().unwrap()) > 300 * DAY);
        assert!(dates.iter().all(|date| date.subsec_nanos() != 0));
        for name in [".bashrc", ".profile"] {
            assert!(date(name) < date(".ssh/id_ed25519"));
        }
        assert_eq!(Some(&date(".bash_history")), dates.last());
        assert!(date("Documents/invoice-0417.pdf") < date("Documents/invoice-0418.pdf"));
        let again: BTreeSet<Duration> = plant().iter().map(|decoy| decoy.modified).collect();
        assert!(dates.is_disjoint(&again));
    }
}
