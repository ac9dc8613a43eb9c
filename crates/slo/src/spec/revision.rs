//! Which counts belong together: a hash over what they mean and are held against.

use std::fmt::Write as _;

use super::{OTHER_ROUTES, ProbeTarget, RatioEvents, Requests, RouteGroup, Sli, Slo};

/// FNV-1a, 32 bits: stable over versions and machines, which a hasher of the standard library is not.
/// <http://www.isthe.com/chongo/tech/comp/fnv/>
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

pub(super) fn of(slo: &Slo, groups: &[RouteGroup]) -> u32 {
    fnv1a(&meaning(slo, groups))
}

/// One fact a line. Changing how this is written makes all counts new: don't.
fn meaning(slo: &Slo, groups: &[RouteGroup]) -> String {
    let mut text = format!(
        "service {}\ntarget {}\nwindow {}\n",
        slo.service,
        slo.target.billionths(),
        slo.window,
    );
    // Writing into a string does not fail.
    let _ = match &slo.sli {
        Sli::Availability { requests } => {
            let _ = writeln!(text, "availability");
            requests_of(requests, groups, &mut text);
            Ok(())
        }
        Sli::Latency { requests, threshold, le } => {
            let _ = writeln!(text, "latency {} {le}", threshold.as_millis());
            requests_of(requests, groups, &mut text);
            Ok(())
        }
        Sli::Freshness { timestamp, max_age } => {
            writeln!(text, "freshness {} {timestamp}", max_age.as_millis())
        }
        Sli::Ratio { events: RatioEvents::Good(good), total } => {
            writeln!(text, "good {good}\ntotal {total}")
        }
        Sli::Ratio { events: RatioEvents::Bad(bad), total } => {
            writeln!(text, "bad {bad}\ntotal {total}")
        }
        Sli::Probe { target, interval, timeout } => {
            let target = match target {
                ProbeTarget::Ingress => "ingress",
                ProbeTarget::Url(url) => url.as_str(),
            };
            let (interval, timeout) = (interval.as_millis(), timeout.as_millis());
            writeln!(text, "probe {interval} {timeout} {target}")
        }
    };
    text
}

/// A group is what it names, and what the groups before it have taken already.
fn requests_of(requests: &Requests, groups: &[RouteGroup], text: &mut String) {
    let named = |name: &str| {
        requests.only.iter().chain(&requests.except).any(|known| known.as_str() == name)
    };
    let last = if named(OTHER_ROUTES) {
        groups.len()
    } else {
        groups.iter().rposition(|group| named(&group.name)).map_or(0, |last| last + 1)
    };
    for (word, names) in [("only", &requests.only), ("except", &requests.except)] {
        let mut names = names.clone();
        names.sort();
        for name in names {
            let _ = writeln!(text, "{word} {name}");
        }
    }
    for group in groups.iter().take(last) {
        let _ = writeln!(text, "group {}", group.name);
        for route in &group.routes {
            let service = route.service.as_deref().unwrap_or("*");
            let _ = writeln!(text, "{service} {} {}", route.methods.join(","), route.route);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_the_published_one() {
        // Test vectors of the reference implementation.
        assert_eq!(super::fnv1a(""), 0x811c_9dc5);
        assert_eq!(super::fnv1a("a"), 0xe40c_292c);
        assert_eq!(super::fnv1a("foobar"), 0xbf9c_f968);
    }
}
