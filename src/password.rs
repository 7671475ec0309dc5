//! Passwords: making them, hashing them, checking them.
//!
//! *Owns*: the cost of argon2id (rfc9106). *Promises*: a hash is a PHC string that names its own cost, so
//! that costs can change without touching accounts. *Assumes*: called off the shards; one hash takes about
//! 20 ms and 19 MiB.
//! *Never*: keeps a password.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// Memory of a hash in KiB, passes, lanes: the second recommendation of the OWASP list for argon2id.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Cost for passwords that were drawn from 128 random bits: nobody guesses those, whatever a guess costs.
const COST_OF_GENERATED: (u32, u32, u32) = (64, 1, 1);
/// The most that a hash from elsewhere may cost: 256 MiB.
const COST_MAX: (u32, u32, u32) = (262_144, 64, 16);
/// Letters of a generated password: no two look alike.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters in it, five bits each: 130 bits.
const GENERATED_LETTERS: usize = 26;

/// The PHC string of a password that a person chose.
///
/// # Errors
/// One line when the system gives no random salt.
pub fn hash(password: &[u8]) -> Result<String, String> {
    hash_at(COST, password)
}

/// The PHC string of a password from [`generate`]; cheap, because such a password cannot be guessed.
///
/// # Errors
/// As [`hash`].
pub fn hash_generated(password: &str) -> Result<String, String> {
    hash_at(COST_OF_GENERATED, password.as_bytes())
}

/// A password of 130 random bits that can be read out over the telephone.
///
/// # Errors
/// One line when the system gives no randomness.
pub fn generate() -> Result<String, String> {
    let mut random = [0u8; GENERATED_LETTERS];
    fill(&mut random)?;
    Ok(random.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect())
}

/// Whether `password` belongs to the PHC string `hash`. A string that [`check`] refuses belongs to no password.
pub fn verify(hash: &str, password: &[u8]) -> bool {
    let parsed = parse(hash);
    parsed.is_ok_and(|parsed| Argon2::default().verify_password(password, &parsed).is_ok())
}

/// Whether an account may have this hash: one login must not take the memory or the minutes of all others.
///
/// # Errors
/// One line: what is expected instead.
pub fn check(hash: &str) -> Result<(), String> {
    parse(hash).map(drop)
}

fn parse(hash: &str) -> Result<PasswordHash, String> {
    let (memory_kib, passes, lanes) = COST_MAX;
    let fits = |parsed: &PasswordHash| {
        let params = Params::try_from(parsed).is_ok_and(|params| {
            params.m_cost() <= memory_kib && params.t_cost() <= passes && params.p_cost() <= lanes
        });
        params && Algorithm::try_from(parsed.algorithm.as_str()).is_ok() && parsed.hash.is_some()
    };
    PasswordHash::new(hash).ok().filter(fits).ok_or_else(|| {
        format!(
            "not a password hash that is taken: give an argon2 PHC string, at most \
             m={memory_kib},t={passes},p={lanes}"
        )
    })
}

fn hash_at((memory_kib, passes, lanes): (u32, u32, u32), password: &[u8]) -> Result<String, String> {
    let mut salt = [0u8; 16];
    fill(&mut salt)?;
    let params =
        Params::new(memory_kib, passes, lanes, None).map_err(|error| format!("argon2id: {error}"))?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash =
        hasher.hash_password_with_salt(password, &salt).map_err(|error| format!("argon2id: {error}"))?;
    Ok(hash.to_string())
}

fn fill(buffer: &mut [u8]) -> Result<(), String> {
    getrandom::fill(buffer).map_err(|error| format!("the system gives no random bytes: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_verify_and_differ_by_salt() {
        let (one, two) = (hash(b"secret").unwrap(), hash(b"secret").unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&one, b"secret") && verify(&two, b"secret"));
        assert!(!verify(&one, b"Secret") && !verify("no hash", b"secret"));
    }

    #[test]
    fn a_hash_that_would_cost_too_much_is_refused_unseen() {
        let good = hash(b"secret").unwrap();
        assert_eq!(check(&good), Ok(()));
        for cost in ["m=4000000000,t=2,p=1", "m=19456,t=4000000000,p=1", "m=19456,t=2,p=99"] {
            let costly = good.replace("m=19456,t=2,p=1", cost);
            assert!(check(&costly).unwrap_err().contains("at most m=262144"), "{costly}");
            assert!(!verify(&costly, b"secret"));
        }
        for other in ["", "not a hash", "$2y$05$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=64,t=1,p=1"] {
            assert!(check(other).is_err(), "{other}");
        }
    }

    #[test]
    fn generated_passwords_are_long_and_verify() {
        let password = generate().unwrap();
        assert_eq!(password.len(), GENERATED_LETTERS);
        assert_ne!(password, generate().unwrap());
        assert!(verify(&hash_generated(&password).unwrap(), password.as_bytes()));
    }

    #[test]
    fn the_hash_for_unknown_accounts_costs_what_others_cost_and_fits_nobody() {
        let unknown = crate::proto::UNKNOWN_ACCOUNT_HASH;
        assert!(unknown.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(argon2::password_hash::phc::PasswordHash::new(unknown).is_ok());
        assert!(!verify(unknown, b""));
    }
}
