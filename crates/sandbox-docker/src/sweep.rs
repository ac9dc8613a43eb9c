//! Removes what runs left behind: their own at their end, and that of processes that were killed.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use crate::engine::{Engine, is_missing};
use crate::owner::{OWNER, Owner, RUN};

/// What one run has made so far.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub container: Option<String>,
    pub image: Option<String>,
}

impl Left {
    /// Removes it. Returns what could not be removed, in words.
    pub(crate) async fn remove(&self, engine: &Engine) -> Vec<String> {
        let mut failed = Vec::new();
        if let Some(id) = &self.container
            && let Err(error) = remove_container(engine, id).await
        {
            failed.push(format!("container {id} was not removed: {error}"));
        }
        if let Some(id) = &self.image
            && let Err(error) = remove_image(engine, id).await
        {
            failed.push(format!("image {id} was not removed: {error}"));
        }
        failed
    }
}

/// Removes the containers, images and volumes of processes that are gone. Those of living ones,
/// and of others than ShieldX, are left alone.
///
/// # Errors
/// The first thing that could not be listed or removed.
pub(crate) async fn sweep(engine: &Engine) -> Result<usize, Error> {
    let ours = HashMap::from([("label", vec![RUN])]);
    let mut removed = 0;
    let options = ListContainersOptionsBuilder::default().all(true).filters(&ours).build();
    for container in engine.client.list_containers(Some(options)).await? {
        if let (Some(id), true) = (container.id, orphaned(container.labels.as_ref())) {
            remove_container(engine, &id).await?;
            removed += 1;
        }
    }
    // An image that is still untagged and unused only shows among all.
    let options = ListImagesOptionsBuilder::default().all(true).filters(&ours).build();
    for image in engine.client.list_images(Some(options)).await? {
        if orphaned(Some(&image.labels)) {
            remove_image(engine, &image.id).await?;
            removed += 1;
        }
    }
    let options = ListVolumesOptionsBuilder::default().filters(&ours).build();
    for volume in engine.client.list_volumes(Some(options)).await?.volumes.unwrap_or_default() {
        if orphaned(Some(&volume.labels)) {
            let options = RemoveVolumeOptionsBuilder::default().force(true).build();
            gone(engine.client.remove_volume(&volume.name, Some(options)).await)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn orphaned(labels: Option<&HashMap<String, String>>) -> bool {
    let owner = labels.and_then(|labels| labels.get(OWNER)).and_then(|text| Owner::parse(text));
    owner.is_some_and(|owner| owner.is_gone())
}

async fn remove_container(engine: &Engine, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    gone(engine.client.remove_container(id, Some(options)).await)
}

async fn remove_image(engine: &Engine, id: &str) -> Result<(), Error> {
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    gone(engine.client.remove_image(id, Some(options), None).await.map(drop))
}

/// Somebody else was faster, or is at it (two starts at once).
fn gone(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}
