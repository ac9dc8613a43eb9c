//! `shieldx run --package`, checked: where the package comes from, and one request for each phase.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sandbox::{Copied, Net};

use super::{RunRequest, plain};
use crate::args::{FormatArgs, RunArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::package::{self, Ecosystem, Origin, Package, Phase};
use crate::request::places::{absolute, mount};
use crate::request::{show, usage};
use crate::runners::RunnerName;

/// Packages beside the one that is tried.
const NEEDED_MAX: usize = 2_000;

/// A package, and what its two phases are asked to be.
#[derive(Debug)]
pub struct PackageRequest {
    pub package: Package,
    pub install: RunRequest,
    pub import: RunRequest,
}

/// The request as a whole; its own command is the package and never runs.
pub(super) fn package(
    args: &RunArgs,
    ecosystem: Ecosystem,
    environment: &Environment,
) -> Result<RunRequest, Failure> {
    fits(args)?;
    let origin = origin(args, ecosystem, environment)?;
    let needed = args.with.as_deref().map(|folder| needed(folder, environment)).transpose()?;
    let package = Package { ecosystem, origin, needed };
    let install = phase(args, &package, Phase::Install, environment)?;
    let import = phase(args, &package, Phase::Import, environment)?;
    // What is written once for each phase is not written a third time.
    let whole = RunArgs {
        html: None,
        events: None,
        verdict: None,
        pcap: None,
        formats: FormatArgs { navigator: None, sarif: None, stix: None },
        ..args.clone()
    };
    let mut request = plain(whole, environment)?;
    request.notes.clear();
    request.package = Some(Box::new(PackageRequest { package, install, import }));
    Ok(request)
}

/// What only means something for one run is refused and not ignored.
fn fits(args: &RunArgs) -> Result<(), Failure> {
    let [_] = args.command.as_slice() else {
        return Err(usage(format!("--package takes one package, and {} words are given", {
            args.command.len()
        }))
        .hint("the form is shieldx run --package npm|pip|cargo [OPTIONS] NAME-OR-FILE"));
    };
    if args.runner != RunnerName::Process {
        let given = args.runner.as_str();
        return Err(usage(format!("--package is for --runner process, and this is {given}")));
    }
    let single = [
        ("--rootfs", args.rootfs.is_some()),
        ("--layer", !args.layers.is_empty()),
        ("--snapshot", args.snapshot.is_some()),
        ("--keep", args.keep.is_some()),
        ("--cores", args.cores.is_some()),
        ("--cwd", args.cwd.is_some()),
        ("--stdin", args.stdin),
    ];
    match single.iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            Err(usage(format!("{option} is for one command, and --package runs two")))
        }
        None => Ok(()),
    }
}

/// A file, a folder, or a name where a registry may be asked.
fn origin(
    args: &RunArgs,
    ecosystem: Ecosystem,
    environment: &Environment,
) -> Result<Origin, Failure> {
    let given = args.command.first().map(OsString::as_os_str).unwrap_or_default();
    let path = absolute(Path::new(given), environment)?;
    let shown = show(Path::new(given));
    let what = ecosystem.as_str();
    if given.is_empty() {
        return Err(usage("the package's name is empty"));
    }
    match path.canonicalize() {
        Ok(path) if path.is_dir() => {
            let names = ecosystem.manifests();
            if names.iter().any(|name| path.join(name).is_file()) {
                return Ok(Origin::Folder(path));
            }
            let names = names.join(" or ");
            Err(usage(format!("{shown} is no {what} package: it has no {names}")))
        }
        Ok(path) if path.is_file() => {
            if package::ends_with(path.file_name().unwrap_or_default(), ecosystem) {
                return Ok(Origin::File(path));
            }
            let endings = ecosystem.endings().join(", ");
            Err(usage(format!("{shown} is no {what} package: their names end in {endings}")))
        }
        Ok(_) => Err(usage(format!("{shown} is neither a file nor a folder"))),
        Err(error) => match name(given) {
            Some(name) if args.net.starts_with("allow=") => Ok(Origin::Registry(name)),
            Some(name) => Err(usage(format!("{name}: there is no such file or folder")).hint(
                "a package that is only named comes from a registry: say which one may be asked \
                 with --net allow=HOST:443",
            )),
            None => Err(usage(format!("{shown}: {error}"))),
        },
    }
}

/// What can be the name of a package, with a version behind it or not. An option of the tool, an
/// address or a path is none.
fn name(given: &std::ffi::OsStr) -> Option<String> {
    let name = given.to_str()?;
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"@/._-=+~^".contains(&byte);
    let first = name.bytes().next()?;
    let begins = first.is_ascii_alphanumeric() || first == b'@';
    let slashes = name.bytes().filter(|&byte| byte == b'/').count();
    let scoped = first == b'@' && slashes == 1;
    (begins && name.bytes().all(fine) && (slashes == 0 || scoped)).then(|| name.to_owned())
}

/// The names in the folder of `--with`.
fn needed(folder: &Path, environment: &Environment) -> Result<Vec<OsString>, Failure> {
    let wrong = |what: &dyn std::fmt::Display| usage(format!("--with {}: {what}", show(folder)));
    let path = absolute(folder, environment)?;
    let entries = std::fs::read_dir(path).map_err(|error| wrong(&error))?;
    let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
    if names.len() > NEEDED_MAX {
        return Err(wrong(&format!("{} entries; at most {NEEDED_MAX}", names.len())));
    }
    names.sort();
    Ok(names)
}

/// The request of one phase: a run as any other, with its own command and files.
fn phase(
    args: &RunArgs,
    package: &Package,
    phase: Phase,
    environment: &Environment,
) -> Result<RunRequest, Failure> {
    let file = |path: &Option<PathBuf>| path.as_deref().map(|path| of_phase(path, phase));
    let formats = &args.formats;
    let folder = match &package.origin {
        Origin::Folder(folder) if phase == Phase::Install => Some(folder.clone()),
        _ => None,
    };
    let args = RunArgs {
        package: None,
        command: package.command(phase),
        cwd: folder.clone(),
        report: None,
        html: file(&args.html),
        events: file(&args.events),
        verdict: file(&args.verdict),
        pcap: file(&args.pcap),
        formats: FormatArgs {
            navigator: file(&formats.navigator),
            sarif: file(&formats.sarif),
            stix: file(&formats.stix),
        },
        ..args.clone()
    };
    let with = args.with.clone();
    let mut request = plain(args, environment)?;
    if let Some(with) = with {
        let mut text = with.into_os_string();
        text.push(":");
        text.push(package::NEEDED);
        request.view.mounts.push(mount(&text, environment)?);
    }
    if let Some(folder) = folder {
        if request.view.cwd != folder {
            return Err(usage(format!("{} is hidden from what runs", show(&folder)))
                .hint("put the package into a folder of its own"));
        }
    } else {
        request.notes.clear();
        request.view.cwd = package::PLACE.into();
        request.base = package::PLACE.into();
        request.cwd_is_new = true;
    }
    if phase == Phase::Install {
        request.artifact = package.artifact();
        if let Origin::File(path) = &package.origin {
            let target = Path::new(package::PLACE).join(package.name());
            request.copies.push(Copied { source: path.clone(), target });
        }
    }
    debug_assert!(request.net == Net::Allow || !matches!(package.origin, Origin::Registry(_)));
    Ok(request)
}

/// `report.html` becomes `report.install.html`.
fn of_phase(path: &Path, phase: Phase) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{phase}"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::{Phase, name, of_phase};

    #[test]
    fn names_of_packages_are_told_from_words_that_a_tool_would_obey() {
        for fine in ["left-pad", "@scope/name", "requests==2.31", "serde@1.0.200", "a.b_c"] {
            assert!(name(OsStr::new(fine)).is_some(), "{fine}");
        }
        for wrong in ["", "-e", "--global", "a b", "git+https://x/y", "../x", "a/b", "x;y", ".x"] {
            assert!(name(OsStr::new(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn every_phase_has_its_own_file() {
        let path = |text: &str| of_phase(Path::new(text), Phase::Import).display().to_string();
        assert_eq!(path("/tmp/r.html"), "/tmp/r.import.html");
        assert_eq!(path("r"), "r.import");
    }
}
