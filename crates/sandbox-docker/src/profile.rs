//! The seccomp profile a container is created with, in Docker's format.
//!
//! It comes from the policy that the `process` runner enforces, and is the outer of two walls: the
//! gate installs the policy's own filter as well, which answers first where both refuse. This one
//! also binds what runs before the command. It names all three ABIs of x86_64, because a runtime
//! kills whatever uses one that is not named, and an attempt that kills leaves no refused call
//! behind; the inner filter refuses the other two.

use sandbox::seccomp::{Masked, Policy};
use serde_json::{Value, json};

/// The profile, as the daemon takes it in `seccomp=`.
pub(crate) fn profile(policy: &Policy) -> String {
    let (always, sometimes): (Vec<_>, Vec<_>) =
        policy.grants().into_iter().partition(|grant| grant.when == [Vec::new()]);
    let names: Vec<_> = always.iter().map(|grant| grant.call).collect();
    let mut rules = vec![json!({ "names": names, "action": "SCMP_ACT_ALLOW" })];
    for grant in &sometimes {
        rules.extend(grant.when.iter().map(|conditions| {
            let args: Vec<_> = conditions.iter().map(condition).collect();
            json!({ "names": [grant.call], "action": "SCMP_ACT_ALLOW", "args": args })
        }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::ENOSYS,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    })
    .to_string()
}

fn condition(masked: &Masked) -> Value {
    json!({
        "index": masked.arg,
        "value": masked.mask,
        "valueTwo": masked.value,
        "op": "SCMP_CMP_MASKED_EQ",
    })
}

#[cfg(test)]
mod tests {
    use sandbox::Net;
    use sandbox::seccomp::Policy;
    use serde_json::Value;

    #[test]
    fn what_reaches_for_the_kernel_is_not_in_it() {
        let text = super::profile(&Policy::standard(Net::None));
        let profile: Value = serde_json::from_str(&text).unwrap();
        let rules = profile["syscalls"].as_array().unwrap();
        let named = |call: &str| {
            let names = |rule: &&Value| rule["names"].as_array().unwrap().contains(&call.into());
            rules.iter().filter(names).count()
        };
        for call in ["io_uring_setup", "bpf", "userfaultfd", "keyctl", "ptrace", "mount", "clone3"]
        {
            assert_eq!(named(call), 0, "{call}");
        }
        for call in ["read", "execve", "seccomp"] {
            assert_eq!(named(call), 1, "{call}");
        }
        assert_eq!(named("clone"), 1);
        let clone = rules.iter().find(|rule| rule["names"] == serde_json::json!(["clone"]));
        assert_eq!(clone.unwrap()["args"][0]["value"], 0x7e02_0000);
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    }
}
