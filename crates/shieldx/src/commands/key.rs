//! `shieldx key`: API keys, made and ended in the data folder itself. A server that runs on the
//! folder notices within a second.

use std::sync::Arc;

use runtime::clock::{Clock as _, System, rfc3339};
use serde_json::json;
use store::StoreError;
use store::domain::{KeyRecord, Keys as _};
use store::keys::new_key;
use store::sqlite::Store;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::place::Place;
use crate::report::words::safe;
use crate::request::service::KeyRequest;

/// Makes, lists or ends keys.
///
/// # Errors
/// When the folder cannot be used.
pub fn key(request: &KeyRequest) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(Exit::Failed, &error))?;
    let text = runtime.block_on(done(request))?;
    output::to_stdout(|out| out.write_all(text.as_bytes()))
        .map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(Exit::Success)
}

/// Does it, and what there is to print.
async fn done(request: &KeyRequest) -> Result<String, Failure> {
    let now_us = System.now_us();
    match request {
        KeyRequest::Create { place, tenant, role, name, expires_in } => {
            place.create()?;
            let expires_us = expires_in
                .map(|time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
                .map(|time| now_us.saturating_add(time));
            let (key, record) = new_key(tenant.clone(), *role, name, now_us, expires_us)
                .map_err(|error| failed(&error))?;
            open(place)?.insert_key(record).await.map_err(|error| failed(&error))?;
            Ok(format!("{key}\n"))
        }
        KeyRequest::List { place, json } => {
            let keys = open(place)?.keys().await.map_err(|error| failed(&error))?;
            Ok(if *json { as_json(&keys) } else { as_table(&keys, now_us) })
        }
        KeyRequest::Revoke { place, id } => {
            let id = id.strip_prefix("sx_").unwrap_or(id);
            if open(place)?.revoke_key(id, now_us).await.map_err(|error| failed(&error))? {
                return Ok(format!("{} is revoked\n", safe(id)));
            }
            let message = format!("there is no key {} that could be revoked", safe(id));
            Err(Failure::new(Exit::Failed, message).hint("`shieldx key list` shows the keys"))
        }
    }
}

fn open(place: &Place) -> Result<Arc<Store>, Failure> {
    Store::open(&place.folder).map_err(|error| failed(&error))
}

fn failed(error: &StoreError) -> Failure {
    Failure::of(Exit::Failed, error)
}

fn as_json(keys: &[KeyRecord]) -> String {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "id": key.id, "tenant": key.tenant, "role": key.role, "name": key.name,
                "created_at": rfc3339(key.created_us),
                "expires_at": key.expires_us.map(rfc3339),
                "revoked_at": key.revoked_us.map(rfc3339),
            })
        })
        .collect();
    format!("{:#}\n", json!(keys))
}

fn as_table(keys: &[KeyRecord], now_us: i64) -> String {
    if keys.is_empty() {
        return "no keys; `shieldx key create --tenant T` makes one\n".to_owned();
    }
    let state = |key: &KeyRecord| match (key.revoked_us, key.expires_us) {
        (Some(at), _) => format!("revoked {}", rfc3339(at)),
        (None, Some(at)) if at <= now_us => format!("expired {}", rfc3339(at)),
        (None, Some(at)) => format!("until {}", rfc3339(at)),
        (None, None) => "good".to_owned(),
    };
    let row = |key: &KeyRecord| {
        let (tenant, role) = (key.tenant.as_str(), key.role.as_str());
        format!("{}  {tenant:<20} {role:<7} {:<34} {}\n", key.id, state(key), safe(&key.name))
    };
    keys.iter().map(row).collect()
}
