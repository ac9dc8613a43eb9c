//! Artifacts by SHA-256, a folder per tenant: the same bytes of two tenants are two files, so that
//! nothing about one tenant can be learned from another's upload.
