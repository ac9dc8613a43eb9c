//! What a person sees after the start: every service with its address and state, the first key, and
//! what to try.

use std::fmt::Write as _;

use runtime::http::ops::Readiness;

use crate::engine;
use crate::place::Endpoints;
use crate::report::words::safe;
use crate::request::{service::UpRequest, show};

/// The table. Its last line has the word *ready* in it, and nothing before it has.
pub(super) fn draw(
    endpoints: &Endpoints,
    readiness: &[Readiness],
    request: &UpRequest,
    first_key: Option<&str>,
) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = writeln!(text, "shieldx {}\n", env!("CARGO_PKG_VERSION"));
    for state in readiness {
        let url = endpoints.internal.get(&state.service).map_or("", String::as_str);
        let waiting: Vec<String> = state
            .dependencies
            .iter()
            .filter(|dependency| !dependency.ready && dependency.required)
            .map(|d| format!("{}: {}", d.name, safe(d.reason.as_deref().unwrap_or("no reason"))))
            .collect();
        let mark =
            if state.ready { "up".to_owned() } else { format!("WAITS  {}", waiting.join("; ")) };
        let _ = writeln!(text, "  {:<14} {url:<28} {mark}", state.service);
    }
    let _ = writeln!(text);
    for item in engine::host_capabilities().iter().filter(|item| !item.available) {
        let _ =
            writeln!(text, "  lacks          {}: {}; costs {}", item.name, item.state, item.costs);
    }
    for route in &request.config.gateway.routes {
        let host = route.host.as_deref().unwrap_or("any host");
        let prefix = safe(&route.path_prefix);
        let _ = writeln!(text, "  protects       {} on {} as {prefix}", route.upstream, safe(host));
    }
    let _ = writeln!(text, "  state          {}", show(&request.place.folder));
    if let Some(key) = first_key {
        let _ = writeln!(text, "  admin key      {key}");
        let _ = writeln!(
            text,
            "                 shown once; also in admin.key there, for commands on this machine"
        );
    }
    let _ = writeln!(text, "  try            shieldx submit FILE · shieldx list · shieldx health");
    let tls = endpoints.server_tls.as_ref().map(|url| format!(" and {url}"));
    let _ = writeln!(text, "\n  ready on {}{}", endpoints.server, tls.unwrap_or_default());
    text
}
