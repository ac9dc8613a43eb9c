//! OCI image layouts (image-spec, "Image Layout"): which image is meant, what its layers are, and
//! what it says about how it wants to be run.
//!
//! Every document is found by its digest and compared with it; only the index is taken at its
//! word. Files of the layout are opened through no symbolic link.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use types::text::hex;

use super::tree::straight;
use super::{Blob, LAYERS_MAX, Refusal, shown};

/// An index, a manifest or a configuration, in bytes.
const DOCUMENT_MAX: u64 = 4 << 20;
/// Indexes in each other.
const NESTED_MAX: usize = 4;
/// Names listed to whoever named none.
const NAMES_SHOWN: usize = 8;

const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const LAYERS: [&str; 6] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];
/// Where layouts keep an image's name.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// What an image says about how it wants to be run. Strings are the image's and nobody checked
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The manifest's digest, `sha256:` and 64 hex digits.
    pub digest: String,
    pub layers: usize,
    /// `NAME=VALUE` each, in order.
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// Absolute where the image is well-formed.
    pub working_dir: Option<PathBuf>,
    /// `user[:group]`, names or numbers. The process runner runs everything as its own user.
    pub user: Option<String>,
}

/// Reads what an image in a layout folder says; `name` chooses where there are several.
///
/// # Errors
/// When there is no such image, or it is damaged.
pub fn image(folder: &Path, name: Option<&str>) -> Result<Image, Refusal> {
    Layout::open(folder)?.image(name)
}

/// A layout's folder, open.
pub(crate) struct Layout {
    folder: OwnedFd,
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

/// `config` is the image's; its keys are written as the specification has them.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    config: Option<Wishes>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Wishes {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

impl Layout {
    pub(crate) fn open(path: &Path) -> Result<Self, Refusal> {
        let file = File::open(path).map_err(Refusal::io(format!("open {}", path.display())))?;
        let layout = Self { folder: file.into(), path: path.to_owned() };
        let marker: Marker = layout.read("oci-layout", &layout.small("oci-layout")?)?;
        if marker.image_layout_version != "1.0.0" {
            return Err(layout.refuse(format!(
                "its layout version is {}, and 1.0.0 is read",
                shown(marker.image_layout_version.as_bytes())
            )));
        }
        Ok(layout)
    }

    /// The image's layers, the lowest first.
    pub(crate) fn layers(&self, name: Option<&str>) -> Result<Vec<Blob>, Refusal> {
        let (_, manifest) = self.manifest(name)?;
        let known = |layer: &Descriptor| LAYERS.contains(&layer.media_type.as_str());
        if let Some(other) = manifest.layers.iter().find(|layer| !known(layer)) {
            return Err(self.refuse(format!(
                "a layer is {}, and tar and tar+gzip are read (skopeo copy --dest-compress-format gzip)",
                shown(other.media_type.as_bytes())
            )));
        }
        if manifest.layers.len() > LAYERS_MAX {
            return Err(self.refuse(format!("it has more than {LAYERS_MAX} layers")));
        }
        let blob = |layer: &Descriptor| {
            let digits = self.digits(layer)?;
            let file = self.file(&format!("blobs/sha256/{digits}"))?;
            let name = format!("layer sha256:{digits}");
            Ok(Blob { file, name, sha256: Some(digits), size: Some(layer.size) })
        };
        manifest.layers.iter().map(blob).collect()
    }

    fn image(&self, name: Option<&str>) -> Result<Image, Refusal> {
        let (digest, manifest) = self.manifest(name)?;
        if !CONFIGS.contains(&manifest.config.media_type.as_str()) {
            return Err(self.refuse(format!(
                "it holds {}, which is no image of files",
                shown(manifest.config.media_type.as_bytes())
            )));
        }
        let document: Document = self.document("its configuration", &manifest.config)?;
        if document.os != "linux" || document.architecture != architecture() {
            return Err(self.refuse(format!(
                "the image is for {}/{}, and this host is linux/{}",
                shown(document.os.as_bytes()),
                shown(document.architecture.as_bytes()),
                architecture()
            )));
        }
        let wishes = document.config.unwrap_or_default();
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Image {
            digest,
            layers: manifest.layers.len(),
            env: wishes.env.unwrap_or_default(),
            entrypoint: wishes.entrypoint.unwrap_or_default(),
            cmd: wishes.cmd.unwrap_or_default(),
            working_dir: some(wishes.working_dir).map(PathBuf::from),
            user: some(wishes.user),
        })
    }

    /// The manifest of the image that is meant, and its digest.
    fn manifest(&self, name: Option<&str>) -> Result<(String, Manifest), Refusal> {
        let index: Index = self.read("index.json", &self.small("index.json")?)?;
        let mut candidates = index.manifests;
        if let Some(name) = name {
            let all = candidates.clone();
            candidates.retain(|descriptor| called(descriptor, name));
            if candidates.is_empty() {
                return Err(self.refuse(format!("it has no image {name}{}", listed(&all))));
            }
        }
        let mut nested = 0;
        loop {
            // An entry without a platform is for everybody.
            candidates.retain(|descriptor| descriptor.platform.as_ref().is_none_or(is_ours));
            let [chosen] = candidates.as_slice() else {
                return Err(self.refuse(match candidates.len() {
                    0 => format!("it has no image for linux/{}", architecture()),
                    count => format!("it has {count} images: name one{}", listed(&candidates)),
                }));
            };
            let kind = chosen.media_type.as_str();
            if MANIFESTS.contains(&kind) {
                let manifest = self.document("its manifest", chosen)?;
                return Ok((chosen.digest.clone(), manifest));
            }
            nested += 1;
            if !INDEXES.contains(&kind) || nested > NESTED_MAX {
                return Err(self.refuse(format!(
                    "its index leads to {}, which is no image",
                    shown(kind.as_bytes())
                )));
            }
            let inner: Index = self.document("its inner index", chosen)?;
            candidates = inner.manifests;
        }
    }

    /// A document by its digest.
    fn document<T: for<'a> Deserialize<'a>>(
        &self,
        what: &str,
        descriptor: &Descriptor,
    ) -> Result<T, Refusal> {
        let digits = self.digits(descriptor)?;
        let bytes = self.small(&format!("blobs/sha256/{digits}"))?;
        if bytes.len() as u64 != descriptor.size || hex(&Sha256::digest(&bytes)) != digits {
            return Err(self.refuse(format!("{what} is not what its digest names")));
        }
        self.read(what, &bytes)
    }

    /// The hex digits of a digest; it becomes a file name.
    fn digits(&self, descriptor: &Descriptor) -> Result<String, Refusal> {
        let digits = descriptor.digest.strip_prefix("sha256:").filter(|digits| {
            digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        digits.map(str::to_owned).ok_or_else(|| {
            self.refuse(format!(
                "{} is no sha256 digest, and nothing else is checked",
                shown(descriptor.digest.as_bytes())
            ))
        })
    }

    fn small(&self, path: &str) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        self.file(path)?
            .take(DOCUMENT_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(Refusal::io(format!("read {path} of {}", self.path.display())))?;
        if bytes.len() as u64 > DOCUMENT_MAX {
            return Err(self.refuse(format!("{path} has more than {DOCUMENT_MAX} bytes")));
        }
        Ok(bytes)
    }

    fn file(&self, path: &str) -> Result<File, Refusal> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let open = straight(self.folder.as_fd(), path.as_bytes(), flags).map(File::from);
        let file = open.map_err(Refusal::io(format!("open {path} of {}", self.path.display())))?;
        if file.metadata().is_ok_and(|meta| meta.is_file()) {
            return Ok(file);
        }
        Err(self.refuse(format!("{path} is no regular file")))
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, what: &str, bytes: &[u8]) -> Result<T, Refusal> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.refuse(format!("{what} cannot be read: {error}")))
    }

    fn refuse(&self, why: String) -> Refusal {
        Refusal::new(format!("the OCI layout {} is refused: {why}", self.path.display()))
    }
}

/// A name is the whole of an annotation, or its tag.
fn called(descriptor: &Descriptor, name: &str) -> bool {
    NAMES
        .iter()
        .filter_map(|key| descriptor.annotations.get(*key))
        .any(|given| given == name || given.rsplit_once(':').is_some_and(|(_, tag)| tag == name))
}

fn listed(descriptors: &[Descriptor]) -> String {
    let names: Vec<String> = descriptors
        .iter()
        .filter_map(|descriptor| NAMES.iter().find_map(|key| descriptor.annotations.get(*key)))
        .take(NAMES_SHOWN)
        .map(|name| shown(name.as_bytes()))
        .collect();
    if names.is_empty() { String::new() } else { format!(" (it names {})", names.join(", ")) }
}

fn is_ours(platform: &Platform) -> bool {
    platform.os == "linux" && platform.architecture == architecture()
}

/// This host in the words of the specification, which are Go's.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
