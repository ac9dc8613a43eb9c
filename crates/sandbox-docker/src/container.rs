//! A run's container as the daemon is asked for it, and its walls in words.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, MountVolumeOptions,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use sandbox::{RunError, Spec};
use types::run::Wall;

use crate::engine::Engine;
use crate::image::Image;
use crate::places::{Places, Planted, RUN_UID, is_scratch};

/// Where the gate lies: a volume that only root can write to.
pub(crate) const GATE_FOLDER: &str = "/.shieldx";
pub(crate) const GATE: &str = "/.shieldx/gate";
/// Processes beside the command's: the gate.
const OWN_PIDS: u32 = 1;
/// The kernel kills in the container before it kills anybody else.
const OOM_SCORE: i64 = 500;

/// Everything the daemon has to know.
pub(crate) struct Request<'a> {
    pub spec: &'a Spec,
    pub image: &'a Image,
    pub places: &'a Places,
    pub planted: &'a [Planted],
    pub profile: Option<&'a str>,
    pub labels: &'a HashMap<String, String>,
}

impl Request<'_> {
    /// The body of the request.
    ///
    /// # Errors
    /// When a mount has a name that the daemon's API cannot carry.
    pub(crate) fn body(&self) -> Result<ContainerCreateBody, RunError> {
        let text = |value: &str| Some(value.to_owned());
        Ok(ContainerCreateBody {
            hostname: text("sandbox"),
            user: Some(format!("{RUN_UID}:{RUN_UID}")),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            tty: Some(false),
            // The gate's own; the command's environment is in the gate.
            env: Some(Vec::new()),
            entrypoint: Some(vec![GATE.to_owned(), self.spec.id.clone()]),
            cmd: Some(Vec::new()),
            healthcheck: Some(bollard::models::HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..Default::default()
            }),
            image: Some(self.image.id.clone()),
            working_dir: text("/"),
            network_disabled: Some(true),
            labels: Some(self.labels.clone()),
            host_config: Some(self.host()?),
            ..Default::default()
        })
    }

    fn host(&self) -> Result<HostConfig, RunError> {
        let limits = &self.spec.limits;
        let memory = Some(i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX));
        let mut security = vec!["no-new-privileges".to_owned()];
        security.extend(self.profile.map(|profile| format!("seccomp={profile}")));
        let text = |value: &str| Some(value.to_owned());
        Ok(HostConfig {
            network_mode: text("none"),
            ipc_mode: text("private"),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            privileged: Some(false),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(security),
            memory,
            memory_swap: memory,
            nano_cpus: (limits.cpu_percent > 0).then(|| i64::from(limits.cpu_percent) * 10_000_000),
            pids_limit: Some(i64::from(limits.pids.saturating_add(OWN_PIDS))),
            ulimits: Some(self.ulimits()),
            oom_score_adj: Some(OOM_SCORE),
            init: Some(false),
            tmpfs: Some(self.places.options(self.planted).into_iter().collect()),
            shm_size: Some(i64::try_from(self.places.shm_bytes).unwrap_or(i64::MAX)),
            mounts: Some(self.mounts()?),
            // Nothing is written to the daemon's disk; the streams are followed instead.
            log_config: Some(HostConfigLogConfig { typ: text("none"), config: None }),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            ..Default::default()
        })
    }

    fn ulimits(&self) -> Vec<ResourcesUlimits> {
        let disk = i64::try_from(self.spec.limits.disk_bytes).unwrap_or(i64::MAX);
        let limits = [
            ("core", 0),
            ("nofile", 4096),
            ("fsize", disk),
            ("memlock", 8 << 20),
            ("msgqueue", 819_200),
        ];
        let limit = |(name, value): (&str, i64)| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(value),
            hard: Some(value),
        };
        limits.map(limit).into()
    }

    fn mounts(&self) -> Result<Vec<Mount>, RunError> {
        let mut mounts = vec![Mount {
            target: Some(GATE_FOLDER.to_owned()),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(true),
                labels: Some(self.labels.clone()),
                ..Default::default()
            }),
            ..Default::default()
        }];
        for mount in &self.spec.mounts {
            let (Some(source), Some(target)) = (mount.source.to_str(), mount.target.to_str())
            else {
                let reason = format!(
                    "{} cannot be mounted: the Docker daemon takes only names in UTF-8",
                    mount.source.display()
                );
                return Err(RunError::Refused { reason });
            };
            mounts.push(Mount {
                source: Some(source.to_owned()),
                target: Some(target.to_owned()),
                typ: Some(MountType::BIND),
                read_only: Some(!mount.writable),
                bind_options: Some(MountBindOptions {
                    propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
                    // What is mounted below it would stay writable under older kernels and daemons.
                    non_recursive: Some(!mount.writable),
                    ..Default::default()
                }),
                ..Default::default()
            });
        }
        Ok(mounts)
    }

    /// The walls as they were asked for.
    pub(crate) fn walls(&self, engine: &Engine) -> Vec<Wall> {
        let wall =
            |name: &str, on: bool, detail: String| Wall { name: name.to_owned(), on, detail };
        let limits = &self.spec.limits;
        let writable: Vec<String> =
            self.places.mounts.keys().map(|path| path.display().to_string()).collect();
        let runtime = engine.facts.get("runtime").map_or("unknown", String::as_str);
        let mut walls = vec![
            wall("namespaces", true, format!("mount, pid, ipc, uts, net, cgroup, by {runtime}")),
            wall("image", true, self.image.from.clone()),
            wall("root", true, format!("read-only; in memory: {}, /dev/shm", writable.join(", "))),
            wall("user", true, format!("uid {RUN_UID}, no new privileges")),
            wall("capabilities", true, "none".to_owned()),
            wall(
                "seccomp",
                true,
                match self.profile {
                    Some(_) => "allow-list, by the daemon and by the gate".to_owned(),
                    None => "allow-list by the gate; the daemon filters no calls".to_owned(),
                },
            ),
            wall("network", true, "none but an own loopback".to_owned()),
            wall("devices", true, "the daemon's default ones".to_owned()),
            wall(
                "limits",
                true,
                format!(
                    "memory {} bytes without swap, {} processes, cpu {}, disk {} bytes: {}",
                    limits.memory_bytes,
                    limits.pids,
                    match limits.cpu_percent {
                        0 => "unlimited".to_owned(),
                        percent => format!("{percent} %"),
                    },
                    limits.disk_bytes,
                    self.places.bound()
                ),
            ),
        ];
        if is_scratch(self.spec) {
            let detail = "nothing of the host's files but what the program needs to start";
            walls.push(wall("files", true, detail.to_owned()));
        }
        walls
    }
}
