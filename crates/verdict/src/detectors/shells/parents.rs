//! Shells that take their commands from a program which talks to the network.

use types::{Endpoint, Kind, StdioKind};

use crate::detector::{Finding, show};
use crate::timeline::{Image, Timeline};

/// Streams between programs: pipes, and the socket pairs that node gives its children.
fn between(stream: Option<&StdioKind>) -> bool {
    matches!(stream, Some(StdioKind::Pipe | StdioKind::Socket { peer: None }))
}

/// Far enough away to be somebody else.
fn is_remote(peer: &Endpoint) -> bool {
    matches!(peer, Endpoint::Inet { ip, .. } if !ip.is_loopback() && !ip.is_unspecified())
}

/// A shell without a script or text of its own, on streams to the program that started it, while
/// that program has a connection of its own to somewhere.
pub(super) fn fed(timeline: &Timeline<'_>) -> Option<Finding> {
    const DECIBANS: u32 = 22;
    for image in timeline.executed().filter(|image| image.is_shell()) {
        let asks = image
            .args()
            .any(|arg| !matches!(arg, "-i" | "-l" | "-s" | "-" | "--norc" | "--noprofile"));
        let streams = between(image.stdio.first()) && between(image.stdio.get(1));
        let Some(process) = timeline.runner(image).filter(|_| streams && !asks) else { continue };
        let Some(parent) = timeline.processes[process].parent else { continue };
        let starter = timeline.images_of(parent).last();
        let own = starter.is_some_and(|s| s.is_own_will() && !s.is_shell() && !s.is_package_tool());
        let connection = timeline.connections.iter().copied().find(|&event| {
            let peer = match &timeline.events[event].kind {
                Kind::Connect { peer } => Some(peer),
                Kind::Accept { peer } => peer.as_ref(),
                _ => None,
            };
            let begun =
                timeline.events[event].happened() || timeline.events[event].ret == Some(-115);
            timeline.process(event) == Some(parent) && begun && peer.is_some_and(is_remote)
        });
        if let Some(connection) = connection.filter(|_| own) {
            let summary = format!(
                "{} takes its commands from {}, which is connected to the network",
                show(image.exact_name()),
                show(starter.map_or("", Image::exact_name))
            );
            return Some(Finding::new(DECIBANS, summary, vec![image.event, connection]));
        }
    }
    None
}

/// Turns of one program: something came or went over the network, then a shell was started.
pub(super) fn tasked(timeline: &Timeline<'_>) -> Option<Finding> {
    const TURNS_MIN: usize = 3;
    const DECIBANS: u32 = 15;
    for (index, process) in timeline.processes.iter().enumerate() {
        let image = timeline.images_of(index).last();
        let suspect =
            image.is_some_and(|i| i.is_own_will() && !i.is_shell() && !i.is_package_tool());
        if !suspect || process.children.len() < TURNS_MIN {
            continue;
        }
        // Connections that repeat are recorded once, with a count; conversations one by one.
        let talked: Vec<usize> = timeline
            .events
            .iter()
            .enumerate()
            .filter(|(event, fact)| match &fact.kind {
                Kind::Connect { peer } => {
                    is_remote(peer) && timeline.process(*event) == Some(index)
                }
                Kind::Request { protocol, peer, .. } => {
                    protocol != "dns" && is_remote(peer) && timeline.process(*event) == Some(index)
                }
                _ => false,
            })
            .map(|(event, _)| event)
            .collect();
        let shells: Vec<usize> = process
            .children
            .iter()
            .flat_map(|&child| timeline.processes[child].executed.iter())
            .map(|&image| &timeline.images[image])
            .filter(|image| image.is_shell())
            .map(|image| image.event)
            .collect();
        let turns: Vec<[usize; 2]> = shells
            .iter()
            .enumerate()
            .filter_map(|(n, &shell)| {
                let since = if n == 0 { 0 } else { shells[n - 1] };
                let before = talked.iter().copied().rfind(|&c| c < shell && c > since)?;
                Some([before, shell])
            })
            .collect();
        if turns.len() >= TURNS_MIN {
            let summary = format!(
                "{} times {} talked to the network and then started a shell",
                turns.len(),
                show(image.map_or("", Image::exact_name))
            );
            return Some(Finding::new(DECIBANS, summary, turns.into_iter().flatten().collect()));
        }
    }
    None
}
