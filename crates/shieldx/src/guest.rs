//! `shieldx guest`: the first process of a microvm's guest, started by the guest's init and by nobody
//! else. Whatever happens here ends with the machine turned off.

use crate::exit::Exit;
use crate::failure::Failure;

/// Says that there is none.
///
/// # Errors
/// Always.
#[cfg(not(feature = "sandbox-microvm"))]
pub fn guest() -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Usage, "this shieldx was built without the feature sandbox-microvm"))
}

/// Does the guest's one job and ends the machine.
///
/// # Errors
/// When this is no guest.
#[cfg(feature = "sandbox-microvm")]
pub fn guest() -> Result<Exit, Failure> {
    let scanner = rules::Set::built_in().scanner();
    match sandbox_microvm::agent::work(Some(scanner)) {
        Ok(()) => {
            sandbox_microvm::agent::power_off();
            Ok(Exit::Success)
        }
        Err(error @ sandbox_microvm::agent::AgentError::NotFirst(_)) => {
            Err(Failure::of(Exit::Usage, &error)
                .hint("`shieldx run --runner microvm` starts this command in a guest of its own"))
        }
        Err(error) => {
            // The only ear left is the guest's console.
            let _ = std::fs::write("/dev/console", format!("shieldx guest: {error}\n"));
            sandbox_microvm::agent::power_off();
            Err(Failure::of(Exit::Failed, &error))
        }
    }
}
