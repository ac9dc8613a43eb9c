//! What a container's root is made of: an image the daemon has, or one made for the run from a
//! folder, a tar file, or the program alone.
//!
//! Nothing is ever pulled. An image made here has no name, carries the run's labels, and is removed
//! with it.

mod elf;
mod pack;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use sandbox::{Root, RunError, Spec};

use self::pack::Content;
use crate::engine::{Engine, failed, is_missing};
use crate::places::Places;

/// An image to run in.
#[derive(Debug)]
pub(crate) struct Image {
    pub id: String,
    /// It was made for this run.
    pub made: bool,
    /// Its name, or what it was made from, in words.
    pub from: String,
}

/// The files of a root that is made of the program alone.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Source on the host by the path inside.
    pub packed: BTreeMap<PathBuf, PathBuf>,
    /// The same for those that lie in a writable place, which covers the image.
    pub planted: BTreeMap<PathBuf, PathBuf>,
}

/// The files a run in an otherwise empty root needs; empty for every other root.
///
/// # Errors
/// When the program is a script or no program.
pub(crate) fn files(spec: &Spec, places: &Places) -> Result<Files, RunError> {
    let mut files = Files::default();
    let covered = |path: &Path| spec.mounts.iter().find(|mount| path.starts_with(&mount.target));
    let copied = spec.copies.iter().find(|copy| copy.target == spec.program);
    if spec.root != Root::Host {
        return Ok(files);
    }
    let on_host = match (copied, covered(&spec.program)) {
        (Some(copy), _) => copy.source.clone(),
        (None, Some(mount)) => {
            let below = spec.program.strip_prefix(&mount.target).unwrap_or(Path::new(""));
            if below.as_os_str().is_empty() {
                mount.source.clone()
            } else {
                mount.source.join(below)
            }
        }
        (None, None) => spec.program.clone(),
    };
    let needed = elf::closure(&on_host).map_err(|error| refuse(&on_host, &spec.program, &error))?;
    for (inside, source) in needed {
        let inside = if inside == on_host { spec.program.clone() } else { inside };
        if covered(&inside).is_some() || copied.is_some_and(|copy| copy.target == inside) {
            continue;
        }
        let kind = if places.holds(&inside) { &mut files.planted } else { &mut files.packed };
        kind.insert(inside, source);
    }
    Ok(files)
}

/// By the name that the command's program has inside: the host's may be nobody's business.
fn refuse(on_host: &Path, program: &Path, error: &io::Error) -> RunError {
    let mut head = [0; 2];
    let script = File::open(on_host)
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut head))
        .is_ok_and(|()| &head == b"#!");
    let shown = program.display();
    let reason = if script {
        format!(
            "{shown} is a script, and a container without an image has no interpreter for it: it \
             needs an image that has one (--image), a root folder (--rootfs), or runner process"
        )
    } else {
        format!("{shown} cannot be put into a container of its own: {error}")
    };
    RunError::Refused { reason }
}

impl Image {
    /// Finds or makes the image of a run.
    ///
    /// # Errors
    /// When the daemon does not have it, or does not take what it should be made from.
    pub(crate) async fn of(
        spec: &Spec,
        engine: &Engine,
        files: &Files,
        labels: &HashMap<String, String>,
    ) -> Result<Self, RunError> {
        let (content, from) = match &spec.root {
            Root::Image(name) => return Self::named(name, engine).await,
            Root::Host => {
                let count = files.packed.len() + files.planted.len();
                let from = match count.saturating_sub(1) {
                    0 => "scratch with the program alone".to_owned(),
                    others => format!("scratch with the program and {others} files it needs"),
                };
                (Content::Files(files.packed.clone()), from)
            }
            Root::Folder(folder) => {
                (Content::Folder(folder.clone()), format!("the folder {}", folder.display()))
            }
            Root::Tar(tar) => (Content::Tar(tar.clone()), format!("the file {}", tar.display())),
            Root::Oci(folder, _) => {
                let reason = format!(
                    "runner docker takes no OCI layout: load {} into the daemon and name the image \
                     (--image), or use runner process",
                    folder.display()
                );
                return Err(RunError::Refused { reason });
            }
        };
        let id = import(engine, content, labels).await?;
        Ok(Self { id, made: true, from })
    }

    async fn named(name: &str, engine: &Engine) -> Result<Self, RunError> {
        match engine.client.inspect_image(name).await {
            Ok(image) => {
                let id = image.id.unwrap_or_else(|| name.to_owned());
                Ok(Self { id, made: false, from: name.to_owned() })
            }
            Err(error) if is_missing(&error) => Err(RunError::Refused {
                reason: format!(
                    "the Docker daemon has no image {name:?}, and images are not pulled for a run: \
                     docker pull {name}"
                ),
            }),
            Err(error) => Err(failed(format!("look at the image {name}"))(error)),
        }
    }
}

/// Makes an image without a name from what is packed on a thread of its own, and tells its id.
async fn import(
    engine: &Engine,
    content: Content,
    labels: &HashMap<String, String>,
) -> Result<String, RunError> {
    let step = "make an image of the root";
    // A label's value is quoted, as in a Dockerfile; none of ours has a quote in it.
    let label = |(name, value): (&String, &String)| format!("{name}=\"{value}\"");
    let labels: Vec<String> = labels.iter().map(label).collect();
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .changes(vec![format!("LABEL {}", labels.join(" "))])
        .build();
    let (chunks, packing) = pack::stream(content);
    let body = bollard::body_try_stream(chunks);
    let mut answers = Box::pin(engine.client.create_image(Some(options), Some(body), None));
    let mut id = None;
    let mut refused = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(said) => id = said.status.filter(|status| status.starts_with("sha256:")).or(id),
            Err(error) => refused = Some(error),
        }
    }
    drop(answers);
    let packed = packing.join().unwrap_or_else(|_| Err(io::Error::other("packing it crashed")));
    match (packed, refused, id) {
        (Err(source), ..) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(RunError::Setup { step: step.to_owned(), source })
        }
        (_, Some(error), _) => Err(failed(step)(error)),
        (_, None, Some(id)) => Ok(id),
        (..) => Err(RunError::Setup {
            step: step.to_owned(),
            source: io::Error::other("the daemon did not say which image it made"),
        }),
    }
}
