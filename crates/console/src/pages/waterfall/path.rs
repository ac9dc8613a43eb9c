//! The order of a trace's spans, and which of them decided how long it took.

use std::collections::{BTreeMap, HashMap};

use runtime::telemetry::Span;

/// Spans below each other as they belong together.
#[derive(Debug)]
pub(super) struct Tree {
    /// Index and depth, in the order of a page.
    pub(super) rows: Vec<(usize, usize)>,
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
}

impl Tree {
    /// A span whose parent is not there is a root; one that is its own ancestor is, too.
    pub(super) fn new(spans: &[Span]) -> Self {
        let by_id: HashMap<&str, usize> =
            spans.iter().enumerate().map(|(index, span)| (span.span_id.as_str(), index)).collect();
        let mut children = vec![Vec::new(); spans.len()];
        let mut roots = Vec::new();
        for (index, span) in spans.iter().enumerate() {
            match span.parent_id.as_deref().and_then(|id| by_id.get(id)) {
                Some(parent) if *parent != index => children[*parent].push(index),
                _ => roots.push(index),
            }
        }
        let mut tree = Self { rows: Vec::with_capacity(spans.len()), children, roots };
        let mut seen = vec![false; spans.len()];
        for root in tree.roots.clone() {
            tree.walk(root, &mut seen);
        }
        // What is left goes in circles.
        for index in 0..spans.len() {
            if !seen[index] {
                tree.roots.push(index);
                tree.walk(index, &mut seen);
            }
        }
        tree
    }

    /// Without recursion: how deep a trace is, is up to whoever made it.
    fn walk(&mut self, root: usize, seen: &mut [bool]) {
        let mut waiting = vec![(root, 0)];
        while let Some((index, depth)) = waiting.pop() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            self.rows.push((index, depth));
            waiting.extend(self.children[index].iter().rev().map(|child| (*child, depth + 1)));
        }
    }
}

/// What decided how long a trace took: from its end backwards, always the child that ended last.
#[derive(Debug, Default)]
pub(super) struct Critical {
    /// Microseconds on the path that were a span's own.
    pub(super) own_us: BTreeMap<usize, i64>,
    parts: Vec<(usize, i64, i64)>,
}

impl Critical {
    pub(super) fn of(spans: &[Span], tree: &Tree) -> Self {
        let mut path = Self::default();
        let end = |index: usize| spans[index].start_us.saturating_add(spans[index].duration_us);
        // Work that was detached from a request is a root of its own, and on no way to its end.
        let Some(root) = tree.roots.first() else { return path };
        // Each walk is bounded by the end that is handed down, so no span is on the path twice.
        let mut visited = vec![false; spans.len()];
        let mut waiting = vec![(*root, end(*root))];
        while let Some((index, until_us)) = waiting.pop() {
            if std::mem::replace(&mut visited[index], true) {
                continue;
            }
            let mut cursor_us = until_us.min(end(index));
            let mut children = tree.children[index].clone();
            children.sort_by_key(|child| std::cmp::Reverse(end(*child)));
            for child in children {
                let (child_start, child_end) = (spans[child].start_us, end(child));
                if child_end > cursor_us || child_start < spans[index].start_us {
                    continue;
                }
                path.note(index, child_end, cursor_us);
                waiting.push((child, child_end));
                cursor_us = child_start;
            }
            path.note(index, spans[index].start_us, cursor_us);
        }
        path
    }

    fn note(&mut self, index: usize, from_us: i64, to_us: i64) {
        let us = (to_us - from_us).max(0);
        *self.own_us.entry(index).or_default() += us;
        if us > 0 {
            self.parts.push((index, from_us, to_us));
        }
    }

    /// When a span was what everything waited for.
    pub(super) fn parts(&self, index: usize) -> impl Iterator<Item = (i64, i64)> {
        let own = self.parts.iter().filter(move |(of, _, _)| *of == index);
        own.map(|(_, from_us, to_us)| (*from_us, *to_us))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use runtime::telemetry::{Kind, SpanStatus};

    use super::{Critical, Span, Tree};

    fn span(id: &str, parent: Option<&str>, start_us: i64, end_us: i64) -> Span {
        Span {
            span_id: id.to_owned(),
            parent_id: parent.map(str::to_owned),
            name: id.to_owned(),
            service: "ingress".to_owned(),
            kind: Kind::Internal,
            start_us,
            duration_us: end_us - start_us,
            status: SpanStatus::Unset,
            error: false,
            message: None,
            attributes: BTreeMap::new(),
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    #[test]
    fn the_path_is_what_ended_last_and_sums_to_the_whole() {
        let spans = [
            span("a", None, 0, 100),
            span("b", Some("a"), 10, 40),
            span("c", Some("a"), 20, 90),
            span("d", Some("c"), 30, 80),
            span("e", Some("a"), 10, 15),
        ];
        let tree = Tree::new(&spans);
        let path = Critical::of(&spans, &tree);
        // 0–10 and 15–20 and 90–100 are a's own, 10–15 e's, 20–30 and 80–90 c's, 30–80 d's.
        assert_eq!(path.own_us, BTreeMap::from([(0, 25), (2, 20), (3, 50), (4, 5)]));
        assert_eq!(path.own_us.values().sum::<i64>(), 100);
        assert_eq!(path.parts(2).collect::<Vec<_>>(), [(80, 90), (20, 30)]);
    }

    #[test]
    fn circles_and_missing_parents_lose_no_span() {
        let spans = [
            span("a", Some("gone"), 0, 10),
            span("b", Some("c"), 1, 5),
            span("c", Some("b"), 1, 5),
            span("d", Some("d"), 2, 3),
        ];
        let tree = Tree::new(&spans);
        let mut rows: Vec<usize> = tree.rows.iter().map(|(index, _)| *index).collect();
        rows.sort_unstable();
        assert_eq!(rows, [0, 1, 2, 3]);
        let _ = Critical::of(&spans, &tree);
    }
}
