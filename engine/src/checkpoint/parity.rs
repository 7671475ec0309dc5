//! What one damaged group of records can be made anew from.
//!
//! *Owns*: the sum, bit by bit without carry, of all groups of a file. *Promises*: what is rebuilt has the sum that the
//! footer says, or is not given out. *Assumes*: one group of a file is damaged at a time; two are refused. *Never*:
//! covers rows: a damaged one costs its account, a damaged group could cost any.

use super::format::Group;

/// Adds a group to the sum of those before.
pub(crate) fn add(sum: &mut Vec<u8>, group: &[u8]) {
    if sum.len() < group.len() {
        sum.resize(group.len(), 0);
    }
    sum.iter_mut().zip(group).for_each(|(sum, byte)| *sum ^= byte);
}

/// The group at `at`, from all others and the sum; none if one of them is damaged too.
pub(crate) fn rebuild<B: AsRef<[u8]>>(
    groups: &[Group],
    parity: Option<Group>,
    at: usize,
    mut read: impl FnMut(&Group) -> Option<B>,
) -> Option<Vec<u8>> {
    let wanted = groups.get(at)?;
    let mut sound = |group: &Group| read(group).filter(|bytes| crc32fast::hash(bytes.as_ref()) == group.crc);
    let mut sum = sound(&parity?)?.as_ref().to_vec();
    for (_, other) in groups.iter().enumerate().filter(|(place, _)| *place != at) {
        add(&mut sum, sound(other)?.as_ref());
    }
    sum.truncate(wanted.len as usize);
    (crc32fast::hash(&sum) == wanted.crc).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_one_group_is_rebuilt_and_no_two() {
        let texts: [&[u8]; 4] = [b"first", b"the second one", b"", b"3"];
        let group =
            |offset, bytes: &[u8]| Group { offset, len: bytes.len() as u32, crc: crc32fast::hash(bytes) };
        let groups: Vec<Group> = (0..).zip(texts).map(|(at, bytes)| group(at, bytes)).collect();
        let mut sum = Vec::new();
        texts.iter().for_each(|bytes| add(&mut sum, bytes));
        let parity = group(99, &sum);
        let rebuilt = |at: usize, lost: &[u64]| {
            let read = |group: &Group| match group.offset {
                99 => Some(sum.clone()),
                place if lost.contains(&place) => Some(b"rotten".to_vec()),
                place => Some(texts[place as usize].to_vec()),
            };
            rebuild(&groups, Some(parity), at, read)
        };
        for (at, bytes) in texts.iter().enumerate() {
            assert_eq!(rebuilt(at, &[at as u64]).as_deref(), Some(*bytes));
        }
        assert_eq!(rebuilt(0, &[0, 1]), None);
        assert_eq!(rebuilt(9, &[]), None);
        assert_eq!(rebuild(&groups, None, 0, |_| Some(sum.clone())), None);
    }
}
