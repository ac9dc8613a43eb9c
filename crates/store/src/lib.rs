//! What must outlive the process: API keys, verifications and their queue, artifacts, sessions and
//! profiles, feature history.
//!
//! Services see the traits of [`domain`] and never a database. The one backend today is
//! [`sqlite`]: `control.db` (keys, queue, reports, sessions) and `features.db` (feature history),
//! WAL, `synchronous=FULL`, one writer thread each with group commit. [`artifacts`] keeps the bytes;
//! [`journal`] is a log of records in files, for what is only ever appended, and [`traces`] a ring of
//! files, for what may be forgotten.
//!
//! **Invariant:** a call that returns `Ok` is durable (invariant 8), but for [`traces`], which says so. This
//! room knows no HTTP and no policy, and reads no environment.

pub mod artifacts;
pub mod domain;
pub mod journal;
pub mod keys;
pub mod sqlite;
pub mod traces;

pub use domain::StoreError;
