//! Giving the memory of long lists back.
//!
//! A list of a million entries is some 24 MiB: the kernel takes milliseconds to take that back at once, in which a
//! shard serves nobody.

use crate::limits::IMAP_RELEASE_BYTES_MAX;

/// Forgets the last `IMAP_RELEASE_BYTES_MAX` octets of a list, whose memory goes back. Whether there is more: a short
/// list goes at once.
pub fn release<T: Copy>(list: &mut Vec<T>) -> bool {
    let some = (IMAP_RELEASE_BYTES_MAX / size_of::<T>().max(1)).max(1);
    if list.len() <= some {
        *list = Vec::new();
        return false;
    }
    list.truncate(list.len() - some);
    list.shrink_to_fit();
    true
}

/// Makes a list longer by at most `more` of the same entries, up to `len`. Whether it is shorter still.
pub fn lengthen<T: Copy>(list: &mut Vec<T>, len: usize, entry: T, more: usize) -> bool {
    list.reserve_exact(len.saturating_sub(list.len()));
    list.resize(len.min(list.len() + more).max(list.len()), entry);
    list.len() < len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_and_comes_in_pieces() {
        let mut list = Vec::new();
        let len = 5 * IMAP_RELEASE_BYTES_MAX / size_of::<u64>() + 1;
        let mut calls = 1;
        while lengthen(&mut list, len, 7u64, len / 3) {
            calls += 1;
        }
        assert_eq!((list.len(), calls), (len, 4));
        assert!(!lengthen(&mut list, 5, 7, 1) && list.len() == len);
        calls = 1;
        while release(&mut list) {
            assert!(list.iter().all(|&entry| entry == 7) && list.capacity() < len);
            calls += 1;
        }
        assert_eq!((list.capacity(), calls), (0, 6));
    }
}
