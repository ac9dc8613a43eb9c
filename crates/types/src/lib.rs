//! The vocabulary every room of ShieldX shares: text a sample controls, kernel events, evidence,
//! runs, detections and verdicts.
//!
//! This room does no I/O and knows no service. A type lives here when two rooms that may not see
//! each other both need it.

pub mod activity;
pub mod anomaly;
pub mod assessment;
pub mod cause;
pub mod decision;
pub mod event;
pub mod evidence;
pub mod identity;
pub mod machine;
pub mod ports;
pub mod risk;
pub mod run;
pub mod syscalls;
pub mod text;

pub use activity::durations::{CallDurations, DURATION_BOUNDS_NS, Durations};
pub use activity::{Activity, Calls, Traffic};
pub use anomaly::{Anomaly, Deviation};
pub use assessment::{Assessment, Contribution, Detection, Technique, Verdict};
pub use decision::{Action, Decision, DecisionInput};
pub use event::{Access, Endpoint, Event, Kind, StdioKind, Task};
pub use evidence::{Counters, Evidence, Level, Tier};
pub use identity::{Caller, Role, Tenant};
pub use risk::{RiskLevel, SessionRisk, Signal};
pub use run::{Ending, FileChange, Isolation, Limits, Recording, RuleMatch, RuleSet, Run};
pub use text::Text;
