//! The rules that ship with ShieldX: the files of `rules/` at the root of the repository, in the
//! binary.

use crate::folder::{Language, Source};

macro_rules! files {
    ($language:ident $folder:literal: $($name:literal)*) => {
        &[$((
            Language::$language,
            concat!($folder, "/", $name),
            include_str!(concat!("../../../rules/", $folder, "/", $name)),
        )),*]
    };
}

const SIGMA: &[(Language, &str, &str)] = files!(Sigma "sigma":
    "dns_callback_services.yml"
    "dns_long_names.yml"
    "file_accounts.yml"
    "file_authorized_keys.yml"
    "file_cron.yml"
    "file_kernel_callback.yml"
    "file_logs_deleted.yml"
    "file_preload.yml"
    "file_shell_startup.yml"
    "file_systemd_unit.yml"
    "net_metadata_service.yml"
    "net_shell_connects.yml"
    "proc_crontab_installed.yml"
    "proc_decode_to_shell.yml"
    "proc_discovery_burst.yml"
    "proc_disk_overwritten.yml"
    "proc_download_to_shell.yml"
    "proc_hidden_in_temporary_folder.yml"
    "proc_history_removed.yml"
    "proc_interpreter_socket_shell.yml"
    "proc_kernel_module.yml"
    "proc_kernel_thread_name.yml"
    "proc_miner_options.yml"
    "proc_namespace_of_init.yml"
    "proc_netcat_shell.yml"
    "proc_reverse_tunnel.yml"
    "proc_runs_from_shared_memory.yml"
    "proc_secrets_archived.yml"
    "proc_security_stopped.yml"
    "proc_server_starts_shell.yml"
    "proc_setuid_bit.yml"
    "proc_shell_network_redirection.yml"
    "proc_terminal_for_shell.yml"
);

const YARA: &[(Language, &str, &str)] = files!(Yara "yara":
    "loaders.yar"
    "miners.yar"
    "packing.yar"
    "shells.yar"
    "theft.yar"
    "web.yar"
);

/// Rules in the YARA files: a test counts them. The compiler would tell, but it is not asked before
/// something is scanned.
pub(crate) const YARA_RULES: u64 = 23;

/// Every file, in a fixed order.
pub(crate) fn sources() -> Vec<Source> {
    let source = |&(language, name, text): &(Language, &str, &str)| Source {
        language,
        name: name.to_owned(),
        text: text.to_owned(),
        built_in: true,
    };
    SIGMA.iter().chain(YARA).map(source).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{YARA_RULES, sources};
    use crate::folder;
    use crate::report::Report;
    use crate::yara::{Cache, Compiled};

    #[test]
    fn every_file_of_the_folder_is_in_the_binary() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
        let found = folder::read(&folder, &mut Report::default()).unwrap();
        let found: BTreeSet<String> = found.into_iter().map(|source| source.name).collect();
        let ours: BTreeSet<String> = sources().into_iter().map(|source| source.name).collect();
        assert_eq!(found, ours);
    }

    #[test]
    fn the_number_of_yara_rules_is_right() {
        let mut sources = sources();
        sources.retain(|source| source.language == folder::Language::Yara);
        let compiled: std::sync::Arc<Compiled> = Cache::new().get(&sources).unwrap();
        assert!(compiled.left_out.is_empty(), "{:?}", compiled.left_out);
        assert_eq!(compiled.about.len() as u64, YARA_RULES);
    }
}
