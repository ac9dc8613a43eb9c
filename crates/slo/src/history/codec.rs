//! Samples and whole histories as bytes, for journal records and snapshots. Both begin with a version;
//! what is read may be damaged in any way: it is refused, or it is a history.

use super::bytes::{Reader, put_i64, put_text, put_u64};
use super::cover::Cover;
use super::line::{Line, counts, put_counts};
use super::objectives::{Objective, Presence, Track};
use super::{EPOCHS_MAX, History, INSTANCES_MAX, Instance, Sample, Series};
use crate::spec::SloName;
use crate::status::Scope;

const SAMPLE_V1: u8 = 1;
const SNAPSHOT_V1: &[u8; 8] = b"SHXHIST1";

/// Bytes that are no sample or snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {what} of this version, or damaged")]
pub struct Garbled {
    pub what: &'static str,
}

impl Sample {
    /// As a journal keeps it: about 40 bytes and as many for each series that changed.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(SAMPLE_V1);
        put_text(out, &self.instance);
        put_i64(out, self.epoch);
        put_i64(out, self.at_us);
        put_u64(out, self.series.len() as u64);
        for (series, counts) in &self.series {
            put_text(out, series.slo.as_str());
            put_u64(out, u64::from(series.revision));
            put_scope(out, &series.scope);
            put_counts(out, *counts);
        }
    }

    /// # Errors
    /// For anything that [`encode`](Self::encode) did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Garbled> {
        decode_sample(&mut Reader::new(bytes)).ok_or(Garbled { what: "sample" })
    }
}

fn decode_sample(reader: &mut Reader<'_>) -> Option<Sample> {
    (reader.u8()? == SAMPLE_V1).then_some(())?;
    let (instance, epoch, at_us) = (reader.text()?, reader.i64()?, reader.i64()?);
    let len = reader.count(7)?;
    let mut series = Vec::with_capacity(len);
    for _ in 0..len {
        let (slo, revision) = objective(reader)?;
        let scope = scope(reader)?;
        series.push((Series { slo, revision, scope }, counts(reader)?));
    }
    reader.is_empty().then_some(Sample { instance, epoch, at_us, series })
}

impl History {
    /// Everything, as bytes for [`restore`](Self::restore). What was thrown is not in it.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = SNAPSHOT_V1.to_vec();
        put_i64(&mut out, self.every_ms);
        put_i64(&mut out, self.aged_ms.unwrap_or(i64::MIN));
        put_u64(&mut out, self.instances.len() as u64);
        for instance in &self.instances {
            put_text(&mut out, &instance.name);
            put_i64(&mut out, instance.epoch);
            put_i64(&mut out, instance.last_at);
            put_u64(&mut out, instance.epochs.len() as u64);
            for epoch in &instance.epochs {
                put_i64(&mut out, *epoch);
            }
        }
        put_u64(&mut out, self.objectives.iter().count() as u64);
        for (slo, revision, objective) in self.objectives.iter() {
            put_text(&mut out, slo.as_str());
            put_u64(&mut out, u64::from(revision));
            objective.encode(&mut out);
        }
        out
    }

    /// # Errors
    /// For anything that [`snapshot`](Self::snapshot) did not write.
    pub fn restore(bytes: &[u8]) -> Result<Self, Garbled> {
        restore(bytes).ok_or(Garbled { what: "snapshot of the history" })
    }
}

fn restore(bytes: &[u8]) -> Option<History> {
    let mut reader = Reader::new(bytes.strip_prefix(SNAPSHOT_V1)?);
    let every_ms = reader.i64().filter(|every| (1..=super::DAY_MS).contains(every))?;
    let aged_ms = Some(reader.i64()?).filter(|aged| *aged != i64::MIN);
    let mut history = History { every_ms, aged_ms, ..History::default() };
    for _ in 0..reader.count(4).filter(|count| *count <= INSTANCES_MAX)? {
        let instance = instance(&mut reader)?;
        let twice = history.instances.iter().any(|known| known.name == instance.name);
        (!twice).then_some(())?;
        history.instances.push(instance);
    }
    for _ in 0..reader.count(4)? {
        let (slo, revision) = objective(&mut reader)?;
        let decoded = Objective::decode(&mut reader, history.instances.len())?;
        history.lines += decoded.scopes.values().map(Vec::len).sum::<usize>();
        history.objectives.insert(slo, revision, decoded)?;
    }
    reader.is_empty().then_some(history)
}

fn instance(reader: &mut Reader<'_>) -> Option<Instance> {
    let (name, epoch, last_at) = (reader.text()?, reader.i64()?, reader.i64()?);
    let mut epochs: Vec<i64> = Vec::new();
    for _ in 0..reader.count(1).filter(|count| *count <= EPOCHS_MAX)? {
        let epoch = reader.i64()?;
        epochs.last().is_none_or(|last| *last < epoch).then_some(())?;
        epochs.push(epoch);
    }
    Some(Instance { name, epoch, epochs, last_at })
}

impl Objective {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.presences.len() as u64);
        for presence in &self.presences {
            put_u64(out, presence.instance as u64);
            put_i64(out, presence.epoch);
            presence.cover.encode(out);
        }
        put_u64(out, self.scopes.len() as u64);
        for (scope, tracks) in &self.scopes {
            put_scope(out, scope);
            put_u64(out, tracks.len() as u64);
            for track in tracks {
                put_u64(out, track.instance as u64);
                put_i64(out, track.epoch);
                put_counts(out, track.base);
                track.line.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>, instances: usize) -> Option<Self> {
        let mut objective = Self::default();
        for _ in 0..reader.count(3)? {
            let instance = place(reader, instances)?;
            let presences = &mut objective.presences;
            let twice = presences.iter().any(|known| known.instance == instance);
            (!twice).then_some(())?;
            let (epoch, cover) = (reader.i64()?, Cover::decode(reader)?);
            presences.push(Presence { instance, epoch, cover });
        }
        for _ in 0..reader.count(2)? {
            let scope = scope(reader)?;
            let mut tracks: Vec<Track> = Vec::new();
            for _ in 0..reader.count(9)? {
                let instance = place(reader, instances)?;
                let twice = tracks.iter().any(|known| known.instance == instance);
                (!twice).then_some(())?;
                let (epoch, base) = (reader.i64()?, counts(reader)?);
                tracks.push(Track { instance, epoch, base, line: Line::decode(reader)? });
            }
            objective.scopes.insert(scope, tracks).is_none().then_some(())?;
        }
        Some(objective)
    }
}

fn place(reader: &mut Reader<'_>, instances: usize) -> Option<usize> {
    usize::try_from(reader.u64()?).ok().filter(|instance| *instance < instances)
}

fn objective(reader: &mut Reader<'_>) -> Option<(SloName, u32)> {
    let slo = SloName::try_from(reader.text()?).ok()?;
    Some((slo, u32::try_from(reader.u64()?).ok()?))
}

fn put_scope(out: &mut Vec<u8>, scope: &Scope) {
    match scope {
        Scope::All => out.push(0),
        Scope::Tenant(tenant) => {
            out.push(1);
            put_text(out, tenant);
        }
        Scope::RouteGroup(group) => {
            out.push(2);
            put_text(out, group);
        }
    }
}

fn scope(reader: &mut Reader<'_>) -> Option<Scope> {
    match reader.u8()? {
        0 => Some(Scope::All),
        1 => reader.text().map(Scope::Tenant),
        2 => reader.text().map(Scope::RouteGroup),
        _ => None,
    }
}
