//! Alertmanager's configuration: pages and tickets go different ways, each team's to the team; what is
//! paged already opens no ticket.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::yaml;
use crate::spec::{Catalog, Severity};

const HEAD: &str = "\
# Alertmanager for ShieldX's alerts. Written by `shieldx slo generate`.
#
# The receivers tell nobody yet: who is on call is not in slo.yaml. Keep them in a file of your own
# that is made from this one, and fill in what you have, for example
#
#   - name: page
#     pagerduty_configs: [{routing_key_file: /etc/alertmanager/pagerduty}]
#   - name: ticket
#     webhook_configs: [{url: 'http://tickets.example/hook'}]
";

pub(super) fn file(catalog: &Catalog) -> String {
    let teams: BTreeSet<&str> = catalog.slos.iter().filter_map(|slo| slo.team.as_deref()).collect();
    let mut text = format!(
        "{HEAD}route:\n  receiver: ticket\n  # One message for each objective and severity.\n  \
         group_by: [alertname, slo, severity]\n  group_wait: 10s\n  group_interval: 1m\n  \
         repeat_interval: 4h\n  routes:\n"
    );
    for severity in [Severity::Page, Severity::Ticket] {
        text.push_str(&route(severity, &teams));
    }
    text.push_str(
        "\ninhibit_rules:\n  # Whoever is paged for an objective needs no ticket for it, nor one \
         since it has no data. Alerts\n  # without an objective are somebody else's: two that lack \
         a label would be equal in it.\n  - source_matchers: ['severity=\"page\"', \
         'slo!=\"\"']\n    target_matchers: ['severity=\"ticket\"', 'slo!=\"\"']\n    equal: \
         [slo]\n\nreceivers:\n",
    );
    for severity in [Severity::Page, Severity::Ticket] {
        let _ = writeln!(text, "  - name: {}", severity.as_str());
        for team in &teams {
            let _ = writeln!(text, "  - name: {}", yaml::quoted(&receiver(severity, team)));
        }
    }
    text
}

fn receiver(severity: Severity, team: &str) -> String {
    format!("{}-{team}", severity.as_str())
}

fn route(severity: Severity, teams: &BTreeSet<&str>) -> String {
    let name = severity.as_str();
    let repeat = match severity {
        Severity::Page => "1h",
        Severity::Ticket => "3d",
    };
    let mut text = format!(
        "    - matchers: ['severity=\"{name}\"']\n      receiver: {name}\n      repeat_interval: \
         {repeat}\n"
    );
    if !teams.is_empty() {
        text.push_str("      routes:\n");
    }
    for team in teams {
        // A matcher's value is quoted as in PromQL, and that is quoted as YAML.
        let matcher = yaml::quoted(&format!("team={}", yaml::quoted(team)));
        let receiver = yaml::quoted(&receiver(severity, team));
        let _ = write!(text, "        - matchers: [{matcher}]\n          receiver: {receiver}\n");
    }
    text
}
