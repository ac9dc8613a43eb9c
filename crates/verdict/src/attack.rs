//! The ATT&CK techniques that detectors name, as they stand in version 19.
//!
//! Version 19 split *Defense Evasion* into `stealth` and `defense-impairment`, moved T1562 to the
//! T1685 family and T1070.002 to T1685.006. Where a technique belongs to several tactics, the one
//! that fits what the detector sees is given.

use serde::Serialize;

/// The ATT&CK version that every id in this room is from.
pub const ATTACK_VERSION: &str = "19";

/// A technique under one tactic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Attack {
    /// `T1059.004`
    pub id: &'static str,
    pub name: &'static str,
    /// The tactic's short name, `execution`, `stealth` …
    pub tactic: &'static str,
}

impl Attack {
    /// The page that describes the technique.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("https://attack.mitre.org/techniques/{}/", self.id.replace('.', "/"))
    }
}

macro_rules! attack {
    ($($constant:ident $id:literal $name:literal $tactic:literal;)*) => {
        $(pub(crate) const $constant: Attack = Attack { id: $id, name: $name, tactic: $tactic };)*
        /// Every technique of this file.
        const ALL: &[Attack] = &[$($constant),*];
    };
}

/// A technique that this version's detectors and rules name.
#[must_use]
pub fn find(id: &str) -> Option<Attack> {
    ALL.iter().copied().find(|attack| attack.id == id)
}

attack! {
    PROC_FILESYSTEM "T1003.007" "Proc Filesystem" "credential-access";
    PASSWD_AND_SHADOW "T1003.008" "/etc/passwd and /etc/shadow" "credential-access";
    LOCAL_DATA "T1005" "Data from Local System" "collection";
    DIRECT_VOLUME_ACCESS "T1006" "Direct Volume Access" "stealth";
    ROOTKIT "T1014" "Rootkit" "stealth";
    BINARY_PADDING "T1027.001" "Binary Padding" "stealth";
    SOFTWARE_PACKING "T1027.002" "Software Packing" "stealth";
    EMBEDDED_PAYLOADS "T1027.009" "Embedded Payloads" "stealth";
    COMPILE_AFTER_DELIVERY "T1027.004" "Compile After Delivery" "stealth";
    COMMAND_OBFUSCATION "T1027.010" "Command Obfuscation" "stealth";
    RENAME_UTILITIES "T1036.003" "Rename Legitimate Utilities" "stealth";
    MASQUERADE_TASK "T1036.004" "Masquerade Task or Service" "stealth";
    MATCH_LEGITIMATE_NAME "T1036.005" "Match Legitimate Resource Name or Location" "stealth";
    MASQUERADE_SPACE "T1036.006" "Space after Filename" "stealth";
    MASQUERADE_FILE_TYPE "T1036.008" "Masquerade File Type" "stealth";
    RC_SCRIPTS "T1037.004" "RC Scripts" "persistence";
    REMOTE_SYSTEMS "T1018" "Remote System Discovery" "discovery";
    NETWORK_SNIFFING "T1040" "Network Sniffing" "credential-access";
    EXFILTRATION_C2 "T1041" "Exfiltration Over C2 Channel" "exfiltration";
    SERVICE_DISCOVERY "T1046" "Network Service Discovery" "discovery";
    EXFILTRATION_ALTERNATIVE "T1048" "Exfiltration Over Alternative Protocol" "exfiltration";
    EXFILTRATION_UNENCRYPTED "T1048.003" "Exfiltration Over Unencrypted Non-C2 Protocol" "exfiltration";
    AT "T1053.002" "At" "persistence";
    CRON "T1053.003" "Cron" "persistence";
    SYSTEMD_TIMERS "T1053.006" "Systemd Timers" "persistence";
    PROCESS_INJECTION "T1055" "Process Injection" "privilege-escalation";
    PTRACE "T1055.008" "Ptrace System Calls" "privilege-escalation";
    PROC_MEMORY "T1055.009" "Proc Memory" "privilege-escalation";
    KEYLOGGING "T1056.001" "Keylogging" "collection";
    INTERPRETER "T1059" "Command and Scripting Interpreter" "execution";
    UNIX_SHELL "T1059.004" "Unix Shell" "execution";
    PYTHON "T1059.006" "Python" "execution";
    EXPLOITATION "T1068" "Exploitation for Privilege Escalation" "privilege-escalation";
    CLEAR_HISTORY "T1070.003" "Clear Command History" "stealth";
    FILE_DELETION "T1070.004" "File Deletion" "stealth";
    TIMESTOMP "T1070.006" "Timestomp" "stealth";
    CLEAR_MAILBOX "T1070.008" "Clear Mailbox Data" "stealth";
    WEB_PROTOCOLS "T1071.001" "Web Protocols" "command-and-control";
    DNS_PROTOCOL "T1071.004" "DNS" "command-and-control";
    LOCAL_STAGING "T1074.001" "Local Data Staging" "collection";
    SYSTEM_DISCOVERY "T1082" "System Information Discovery" "discovery";
    FILE_DISCOVERY "T1083" "File and Directory Discovery" "discovery";
    PROXY "T1090" "Proxy" "command-and-control";
    NON_APPLICATION_PROTOCOL "T1095" "Non-Application Layer Protocol" "command-and-control";
    ACCOUNT_MANIPULATION "T1098" "Account Manipulation" "persistence";
    AUTHORIZED_KEYS "T1098.004" "SSH Authorized Keys" "persistence";
    REMOTE_SSH "T1021.004" "SSH" "lateral-movement";
    TOOL_TRANSFER "T1105" "Ingress Tool Transfer" "command-and-control";
    BRUTE_FORCE "T1110" "Brute Force" "credential-access";
    SCREEN_CAPTURE "T1113" "Screen Capture" "collection";
    CLIPBOARD "T1115" "Clipboard Data" "collection";
    AUDIO_CAPTURE "T1123" "Audio Capture" "collection";
    VIDEO_CAPTURE "T1125" "Video Capture" "collection";
    DOMAIN_GROUPS "T1069.002" "Domain Groups" "discovery";
    DOMAIN_ACCOUNTS "T1087.002" "Domain Account" "discovery";
    LOCAL_ACCOUNT "T1136.001" "Local Account" "persistence";
    DOMAIN_ACCOUNT "T1136.002" "Domain Account" "persistence";
    DEOBFUSCATE "T1140" "Deobfuscate/Decode Files or Information" "stealth";
    PERMISSIONS "T1222.002" "Linux and Mac Permissions" "defense-impairment";
    DATA_DESTRUCTION "T1485" "Data Destruction" "impact";
    DATA_ENCRYPTED "T1486" "Data Encrypted for Impact" "impact";
    SERVICE_STOP "T1489" "Service Stop" "impact";
    INHIBIT_RECOVERY "T1490" "Inhibit System Recovery" "impact";
    COMPUTE_HIJACKING "T1496.001" "Compute Hijacking" "impact";
    SYSTEM_CHECKS "T1497.001" "System Checks" "stealth";
    TIME_EVASION "T1497.003" "Time Based Checks" "stealth";
    EXHAUSTION "T1499.001" "OS Exhaustion Flood" "impact";
    WEB_SHELL "T1505.003" "Web Shell" "persistence";
    SECURITY_SOFTWARE "T1518.001" "Security Software Discovery" "discovery";
    SHUTDOWN "T1529" "System Shutdown/Reboot" "impact";
    BOOTKIT "T1542.003" "Bootkit" "persistence";
    SYSTEMD_SERVICE "T1543.002" "Systemd Service" "persistence";
    SHELL_CONFIGURATION "T1546.004" "Unix Shell Configuration Modification" "persistence";
    EVENT_TRIGGERED "T1546" "Event Triggered Execution" "persistence";
    TRAP "T1546.005" "Trap" "persistence";
    INSTALLER_PACKAGES "T1546.016" "Installer Packages" "persistence";
    UDEV_RULES "T1546.017" "Udev Rules" "persistence";
    PYTHON_HOOKS "T1546.018" "Python Startup Hooks" "persistence";
    KERNEL_MODULES "T1547.006" "Kernel Modules and Extensions" "persistence";
    XDG_AUTOSTART "T1547.013" "XDG Autostart Entries" "persistence";
    SETUID_SETGID "T1548.001" "Setuid and Setgid" "privilege-escalation";
    SUDO_CACHING "T1548.003" "Sudo and Sudo Caching" "privilege-escalation";
    CREDENTIAL_FILES "T1552.001" "Credentials In Files" "credential-access";
    SHELL_HISTORY "T1552.003" "Shell History" "credential-access";
    PRIVATE_KEYS "T1552.004" "Private Keys" "credential-access";
    CLOUD_METADATA "T1552.005" "Cloud Instance Metadata API" "credential-access";
    CONTAINER_API "T1552.007" "Container API" "credential-access";
    ROOT_CERTIFICATE "T1553.004" "Install Root Certificate" "defense-impairment";
    HOST_BINARY "T1554" "Compromise Host Software Binary" "persistence";
    BROWSER_CREDENTIALS "T1555.003" "Credentials from Web Browsers" "credential-access";
    MODIFY_AUTHENTICATION "T1556.003" "Pluggable Authentication Modules" "persistence";
    ARCHIVE_UTILITY "T1560.001" "Archive via Utility" "collection";
    ARCHIVE_LIBRARY "T1560.002" "Archive via Library" "collection";
    DISK_WIPE "T1561" "Disk Wipe" "impact";
    HIDDEN_FILES "T1564.001" "Hidden Files and Directories" "stealth";
    BIND_MOUNTS "T1564.013" "Bind Mounts" "stealth";
    DATA_MANIPULATION "T1565.001" "Stored Data Manipulation" "impact";
    DOMAIN_GENERATION "T1568.002" "Domain Generation Algorithms" "command-and-control";
    SYSTEMCTL "T1569.003" "Systemctl" "execution";
    WEB_EXFILTRATION "T1567" "Exfiltration Over Web Service" "exfiltration";
    WEBHOOK "T1567.004" "Exfiltration Over Webhook" "exfiltration";
    NON_STANDARD_PORT "T1571" "Non-Standard Port" "command-and-control";
    TUNNELING "T1572" "Protocol Tunneling" "command-and-control";
    LINKER_HIJACKING "T1574.006" "Dynamic Linker Hijacking" "stealth";
    PATH_INTERCEPTION "T1574.007" "Path Interception by PATH Environment Variable" "stealth";
    DEPLOY_CONTAINER "T1610" "Deploy Container" "execution";
    ESCAPE "T1611" "Escape to Host" "privilege-escalation";
    REFLECTIVE_LOADING "T1620" "Reflective Code Loading" "stealth";
    DEBUGGER_EVASION "T1622" "Debugger Evasion" "stealth";
    DISABLE_TOOLS "T1685" "Disable or Modify Tools" "defense-impairment";
    DISABLE_AUDIT "T1685.004" "Disable or Modify Linux Audit System Log" "defense-impairment";
    CLEAR_LOGS "T1685.006" "Clear Linux or Mac System Logs" "defense-impairment";
    DISABLE_FIREWALL "T1686" "Disable or Modify System Firewall" "defense-impairment";
    PREVENT_HISTORY "T1690" "Prevent Command History Logging" "defense-impairment";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ALL;

    #[test]
    fn ids_are_well_formed_unique_and_of_version_19() {
        let mut ids = BTreeSet::new();
        for attack in ALL {
            let digits = attack.id.strip_prefix('T').unwrap();
            let (technique, sub) = digits.split_once('.').unwrap_or((digits, "000"));
            assert!(technique.len() == 4 && technique.bytes().all(|b| b.is_ascii_digit()));
            assert!(sub.len() == 3 && sub.bytes().all(|b| b.is_ascii_digit()));
            assert!(!attack.id.starts_with("T1562"), "{} left ATT&CK in version 19", attack.id);
            assert_ne!(attack.id, "T1070.002", "is T1685.006 since version 19");
            assert_ne!(attack.tactic, "defense-evasion", "was split in version 19");
            assert!(ids.insert(attack.id), "{} is listed twice", attack.id);
        }
    }
}
