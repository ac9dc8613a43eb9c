//! Which files hold secrets, and whose they are. Facts about paths; no weights.

use crate::paths::{dot_part, in_home, name, under};
use crate::timeline::Image;

pub(super) fn is_shadow(path: &str) -> bool {
    matches!(
        path,
        "/etc/shadow"
            | "/etc/shadow-"
            | "/etc/gshadow"
            | "/etc/gshadow-"
            | "/etc/security/opasswd"
            | "/etc/master.passwd"
            | "/var/backups/shadow.bak"
            | "/var/backups/gshadow.bak"
    )
}

pub(super) fn is_private_key(path: &str) -> bool {
    let file = name(path);
    let ssh = path.contains("/.ssh/")
        && !file.ends_with(".pub")
        && (file.starts_with("id_")
            || file.ends_with(".pem")
            || file.ends_with(".key")
            || file.ends_with(".ppk")
            || file == "identity");
    let host = path.starts_with("/etc/ssh/ssh_host_") && file.ends_with("_key");
    let gnupg = path.contains("/.gnupg/private-keys-v1.d/")
        || (path.contains("/.gnupg/") && matches!(file, "secring.gpg" | "trustdb.gpg.key"));
    let tls = under(path, "/etc/ssl/private") && path != "/etc/ssl/private";
    let letsencrypt = path.starts_with("/etc/letsencrypt/") && file.starts_with("privkey");
    ssh || host || gnupg || tls || letsencrypt
}

pub(super) fn is_browser_store(path: &str) -> bool {
    const CHROMIUM: &[&str] = &[
        "/.config/google-chrome",
        "/.config/chromium",
        "/.config/BraveSoftware",
        "/.config/microsoft-edge",
        "/.config/opera",
        "/.config/vivaldi",
        "/snap/chromium/",
    ];
    const MOZILLA: &[&str] = &["/.mozilla/", "/.thunderbird/", "/.librewolf/", "/.waterfox/"];
    let file = name(path);
    let chromium = CHROMIUM.iter().any(|part| path.contains(part))
        && matches!(file, "Login Data" | "Cookies" | "Web Data" | "Local State" | "History");
    let mozilla = MOZILLA.iter().any(|part| path.contains(part))
        && matches!(
            file,
            "logins.json"
                | "key4.db"
                | "key3.db"
                | "cookies.sqlite"
                | "signons.sqlite"
                | "cert9.db"
                | "places.sqlite"
                | "formhistory.sqlite"
                | "profiles.ini"
        );
    chromium || mozilla
}

/// The program that keeps this history file.
pub(super) fn history(path: &str) -> Option<&'static str> {
    const HISTORIES: &[(&str, &str)] = &[
        (".bash_history", "bash"),
        (".zsh_history", "zsh"),
        (".zhistory", "zsh"),
        (".history", "tcsh"),
        (".ash_history", "ash"),
        (".sh_history", "ksh"),
        (".mksh_history", "mksh"),
        (".python_history", "python"),
        (".mysql_history", "mysql"),
        (".psql_history", "psql"),
        (".rediscli_history", "redis-cli"),
        (".sqlite_history", "sqlite"),
        ("fish_history", "fish"),
    ];
    HISTORIES.iter().find(|(file, _)| name(path) == *file).map(|&(_, keeper)| keeper)
}

/// A kind of credential store.
pub(super) struct Store {
    pub(super) name: &'static str,
    /// How its path goes on behind the home folder; a trailing `/` stands for everything below.
    home: &'static [&'static str],
    owners: &'static [&'static str],
    /// Libraries do not look into it by themselves: one read by a language's program tells.
    pub(super) telling: bool,
}

impl Store {
    /// Whether this program may look into it as part of its job.
    pub(super) fn excuses(&self, image: &Image<'_>) -> bool {
        image.is_trusted(self.owners)
            || (image.is_package_tool() && !self.telling)
            || image.script().is_some_and(|script| {
                self.owners.contains(&name(script))
                    && (script.contains("/bin/") || !script.contains('/'))
            })
    }
}

const fn store(
    name: &'static str,
    home: &'static [&'static str],
    owners: &'static [&'static str],
    telling: bool,
) -> Store {
    Store { name, home, owners, telling }
}

const STORES: &[Store] = &[
    store(
        "AWS",
        &[".aws/credentials", ".aws/sso/cache/", ".aws/cli/cache/"],
        &["aws", "terraform", "sam", "cdk"],
        true,
    ),
    store(
        "Azure",
        &[
            ".azure/accessTokens.json",
            ".azure/msal_token_cache.json",
            ".azure/msal_token_cache.bin",
            ".azure/azureProfile.json",
        ],
        &["az", "terraform"],
        true,
    ),
    store(
        "Google Cloud",
        &[
            ".config/gcloud/credentials.db",
            ".config/gcloud/access_tokens.db",
            ".config/gcloud/application_default_credentials.json",
            ".config/gcloud/legacy_credentials/",
        ],
        &["gcloud", "gsutil", "bq", "terraform"],
        true,
    ),
    store(
        "netrc",
        &[".netrc", "_netrc"],
        &["curl", "wget", "git-remote-http", "git-remote-https", "git", "ftp", "lftp", "heroku"],
        false,
    ),
    store(
        "Docker",
        &[".docker/config.json", ".dockercfg"],
        &[
            "docker",
            "docker-compose",
            "docker-buildx",
            "buildx",
            "podman",
            "skopeo",
            "buildah",
            "kubectl",
        ],
        false,
    ),
    store(
        "Kubernetes",
        &[".kube/config", ".kube/cache/"],
        &["kubectl", "helm", "k9s", "oc", "kubectx", "kubens", "minikube", "kind", "argocd"],
        false,
    ),
    store(
        "Git",
        &[".git-credentials", ".config/git/credentials"],
        &["git", "git-credential-store", "git-remote-http", "git-remote-https"],
        true,
    ),
    store(
        "npm",
        &[".npmrc"],
        &["npm", "npx", "yarn", "pnpm", "node", "nodejs", "bun", "deno"],
        false,
    ),
    store(
        "PyPI",
        &[".pypirc"],
        &["twine", "python", "pip", "uv", "poetry", "flit", "hatch"],
        false,
    ),
    store(
        "PostgreSQL",
        &[".pgpass"],
        &["psql", "pg_dump", "pg_restore", "pgcli", "createdb", "dropdb"],
        true,
    ),
    store(
        "MySQL",
        &[".my.cnf", ".mylogin.cnf"],
        &["mysql", "mysqldump", "mysqladmin", "mariadb"],
        true,
    ),
    store("Vault", &[".vault-token"], &["vault", "terraform"], true),
    store("Terraform", &[".terraform.d/credentials.tfrc.json"], &["terraform", "tofu"], true),
    store("GitHub", &[".config/gh/hosts.yml", ".config/hub"], &["gh", "hub"], true),
    store("Cargo", &[".cargo/credentials", ".cargo/credentials.toml"], &["cargo", "rustup"], false),
    store(
        "RubyGems",
        &[".gem/credentials", ".local/share/gem/credentials"],
        &["gem", "bundle", "ruby"],
        false,
    ),
    store(
        "Maven",
        &[".m2/settings.xml", ".m2/settings-security.xml"],
        &["mvn", "java", "gradle"],
        false,
    ),
    store(
        "Composer",
        &[".composer/auth.json", ".config/composer/auth.json"],
        &["composer", "php"],
        false,
    ),
    store(
        "S3",
        &[".s3cfg", ".boto", ".passwd-s3fs", ".config/rclone/rclone.conf"],
        &["s3cmd", "gsutil", "s3fs", "rclone"],
        true,
    ),
    store("FTP client", &[".config/filezilla/", ".filezilla/"], &["filezilla"], true),
    store(
        "key ring",
        &[".local/share/keyrings/", ".local/share/kwalletd/", ".kde/share/apps/kwallet/"],
        &["gnome-keyring-daemon", "kwalletd", "seahorse", "secret-tool"],
        true,
    ),
    store("password store", &[".password-store/"], &["pass", "gpg", "git", "gopass"], true),
    store(
        "wallet",
        &[
            ".bitcoin/",
            ".litecoin/",
            ".dogecoin/",
            ".ethereum/keystore/",
            ".electrum/wallets/",
            ".config/solana/",
            ".monero/",
            ".config/Exodus/",
            ".config/atomic/",
            ".config/Ledger Live/",
        ],
        &["bitcoind", "bitcoin-qt", "geth", "electrum", "solana", "monero-wallet-cli"],
        true,
    ),
    store(
        "chat client",
        &[
            ".config/discord/Local Storage/",
            ".config/Slack/Cookies",
            ".config/Slack/storage/",
            ".local/share/TelegramDesktop/tdata/",
            ".config/Signal/",
        ],
        &["discord", "Discord", "slack", "telegram-desktop", "signal-desktop"],
        true,
    ),
    store(
        "assistant",
        &[
            ".claude/.credentials.json",
            ".codex/auth.json",
            ".gemini/oauth_creds.json",
            ".config/github-copilot/hosts.json",
        ],
        &["claude", "codex", "gemini", "node", "copilot"],
        true,
    ),
];

const SYSTEM: Store =
    store("network secrets", &[], &["NetworkManager", "wpa_supplicant", "iwd"], true);
const DATABASE: Store = store("password database", &[], &["keepassxc", "keepass2", "kpcli"], true);
const KERBEROS: Store =
    store("Kerberos", &[], &["kinit", "klist", "kdestroy", "sshd", "ssh", "sssd"], true);

/// The store a path belongs to.
pub(super) fn of(path: &str) -> Option<&'static Store> {
    if path.starts_with("/etc/NetworkManager/system-connections/")
        || path.starts_with("/etc/wpa_supplicant/wpa_supplicant")
    {
        return Some(&SYSTEM);
    }
    if path.ends_with(".kdbx") || name(path) == "wallet.dat" {
        return Some(&DATABASE);
    }
    if path == "/etc/krb5.keytab" || path.starts_with("/tmp/krb5cc_") {
        return Some(&KERBEROS);
    }
    let rest = in_home(path).or_else(|| dot_part(path))?;
    let within = |entry: &str| {
        if entry.ends_with('/') {
            rest.len() > entry.len() && rest.starts_with(entry)
        } else {
            rest == entry
        }
    };
    // A project's own `.npmrc` is configuration; only the one in a home holds tokens.
    let project =
        in_home(path).is_none() && matches!(rest, ".npmrc" | ".netrc" | ".pypirc" | ".my.cnf");
    if project {
        return None;
    }
    STORES.iter().find(|store| store.home.iter().any(|entry| within(entry)))
}

/// Names of files that hold secrets, in whole or in part.
const FILES: &[&str] = &[
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    ".pem",
    "*.key",
    ".kdbx",
    ".netrc",
    ".aws",
    "credential",
    ".git-credentials",
    "shadow",
    ".pgpass",
    "wallet",
    ".htpasswd",
    "secret",
    "passw",
    ".ovpn",
    ".ppk",
    ".p12",
    "authorized_keys",
    ".env",
    "_history",
    ".gnupg",
    "access_token",
    "msal_token",
    "places.sqlite",
    "logins.json",
    "Login Data",
    "Bookmarks",
    "Cookies",
];
/// Looking for something in one of these by its folder needs no search of the whole system.
const HOMES: &[&str] =
    &["/.aws", "/.azure", "/.config/gcloud", "/.oci", "/.gnupg", "/.kube", "/.docker"];
/// Words that stand beside secrets.
const WORDS: &[&str] = &[
    "passw",
    "pwd=",
    "secret",
    "api_key",
    "apikey",
    "api-key",
    "token",
    "credential",
    "BEGIN RSA",
    "BEGIN OPENSSH",
    "PRIVATE KEY",
    "aws_access",
    "AKIA",
];

/// find, grep and locate sent after secrets over more than a project.
pub(super) fn searches_for_secrets(image: &Image<'_>) -> bool {
    let wide = image.operands().any(|arg| {
        let arg = arg.trim_end_matches(['/', '*']);
        matches!(arg, "" | "/etc" | "/home" | "/root" | "/var" | "/opt" | "/srv" | "/mnt")
            || matches!(in_home(arg), Some(""))
            || arg == "/home/sandbox"
            || HOMES.iter().any(|home| arg.starts_with('/') && arg.contains(home))
    });
    if image.is(&["find", "fd", "fdfind"]) {
        let named = image.args().skip_while(|arg| {
            !arg.ends_with("name") && !arg.ends_with("regex") && !arg.ends_with("path")
        });
        return wide
            && named
                .into_iter()
                .any(|arg| arg == "token" || FILES.iter().any(|file| arg.contains(file)));
    }
    if image.is(&["grep", "egrep", "fgrep", "rg", "ag"]) {
        let recursive = image.is(&["rg", "ag"])
            || image.args().any(|arg| {
                arg == "--recursive"
                    || (arg.starts_with('-') && !arg.starts_with("--") && arg.contains(['r', 'R']))
            });
        let word = image.args().any(|arg| {
            let arg = arg.to_ascii_lowercase();
            WORDS.iter().any(|word| arg.contains(&word.to_ascii_lowercase()))
        });
        return wide && recursive && word;
    }
    image.is(&["locate", "plocate"])
        && image.operands().any(|arg| FILES.iter().any(|f| arg.contains(f)))
}
