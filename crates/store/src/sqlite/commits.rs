//! How long commits take, by file: what every call that promises durability waits for.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::Metrics;

/// Upper bounds in seconds: from a disk with a cache that survives power to one that is in trouble.
const SECONDS: [f64; 13] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];
/// Upper bounds of the commands in one transaction.
const COMMANDS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 100.0, 250.0, 1_000.0];

type Labels = [(&'static str, &'static str); 1];
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Those of all files.
#[derive(Debug)]
pub(super) struct Files {
    duration: Histograms,
    commands: Histograms,
    failed: Family<Labels, Counter>,
}

/// One file's.
#[derive(Debug, Clone)]
pub(super) struct Commits {
    /// Of the COMMIT alone, which waits for the disk; successful ones.
    pub(super) duration: Histogram,
    pub(super) commands: Histogram,
    /// Transactions that were lost, commands and all.
    pub(super) failed: Counter,
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            duration: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            commands: Family::new_with_constructor(|| Histogram::new(COMMANDS)),
            failed: Family::default(),
        }
    }

    /// `file` is its name in the label.
    pub(super) fn of(&self, file: &'static str) -> Commits {
        let labels = [("file", file)];
        Commits {
            duration: self.duration.get_or_create_owned(&labels),
            commands: self.commands.get_or_create_owned(&labels),
            failed: self.failed.get_or_create_owned(&labels),
        }
    }

    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register(
            "shieldx_store_commit_duration_seconds",
            "Length of a commit, which is the wait for the disk",
            self.duration.clone(),
        );
        metrics.register(
            "shieldx_store_commit_commands",
            "Commands that one commit made durable",
            self.commands.clone(),
        );
        metrics.register(
            "shieldx_store_commit_failures",
            "Transactions that were lost; whoever waited for them was told",
            self.failed.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use runtime::metrics::Metrics;

    use crate::sqlite::Store;

    #[tokio::test]
    async fn every_file_has_its_series_from_the_start_and_commits_move_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let metrics = Metrics::new("x");
        store.register(&metrics);
        let value = |line: &str| {
            let text = metrics.text();
            let found = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
            found.unwrap_or_else(|| panic!("{line} is not in {text}")).parse::<f64>().unwrap()
        };
        let count = "shieldx_store_commit_duration_seconds_count{file=\"control\"}";
        let before = value(count);
        store
            .control
            .write(|connection| connection.execute("DELETE FROM no_table", []))
            .await
            .unwrap_err();
        store.control.write(|connection| connection.execute_batch("SELECT 1")).await.unwrap();
        // A command that fails alone leaves its group to be committed.
        assert_eq!(value(count), before + 2.0);
        assert!(value("shieldx_store_commit_commands_sum{file=\"control\"}") >= 2.0);
        assert_eq!(value("shieldx_store_commit_duration_seconds_count{file=\"features\"}"), 0.0);
        // Who ends the transaction under the writer loses the group.
        store.control.write(|connection| connection.execute_batch("ROLLBACK")).await.unwrap_err();
        assert_eq!(value("shieldx_store_commit_failures_total{file=\"control\"}"), 1.0);
    }
}
