//! File descriptors for as many connections as the settings allow.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Config;

/// Files, pipes and sockets beside the connections of the public listeners.
const OTHERS: u64 = 2_048;

/// Raises the soft limit to the hard one, as servers do; a sentence when that is still too little.
pub(super) fn raise(config: &Config) -> Option<String> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        // Where it is refused the limit stays what it was, which is looked at next.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let listeners = 1 + u64::from(config.ingress.tls.is_some());
    let connections = u64::try_from(config.ingress.limits.connections_max).unwrap_or(u64::MAX);
    // A connection from outside is one to the gateway and one to an application, too.
    let wanted = connections.saturating_mul(3 * listeners).saturating_add(OTHERS);
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (allowed < wanted).then(|| {
        format!(
            "this process may open {allowed} files, and {connections} connections can take \
             {wanted}: raise the limit (ulimit -Hn) or lower ingress.limits.connections_max"
        )
    })
}
