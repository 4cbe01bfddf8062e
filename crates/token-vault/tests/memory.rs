//! After the answer is gone, no plaintext of it is left in the process's memory.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use pollster::block_on;
use token_vault::testing::{Fixture, owner, request};

#[test]
fn an_issued_secret_is_nowhere_once_its_answer_is_dropped() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random)).delegable();
        let issued = fixture.vault.plan_issue(wish, fixture.now(), &fixture.random).unwrap();
        fixture.commit(issued.batch).await;
        // Kept as its complement, so that what is looked for is not found in the searcher.
        let complement: Vec<u8> = issued.token.expose_once(|text| {
            assert!(fixture.vault.verify(text, &fixture.context()).is_ok());
            assert!(
                holds(&complement_of(text.get(34..77).unwrap().as_bytes())),
                "the search finds what is there"
            );
            complement_of(text.get(34..77).unwrap().as_bytes())
        });
        assert!(!holds(&complement), "the digits of the secret are left");
    });
}

fn complement_of(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// Whether any writable memory of this process holds the bytes whose complement is given.
fn holds(complement: &[u8]) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut buffer = vec![0_u8; 1 << 20];
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (mut at, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        while at < end {
            let length = usize::try_from(end.saturating_sub(at)).unwrap().min(buffer.len());
            // What is read is looked through in place and erased, so that it is not found a second time.
            let piece = buffer.get_mut(..length).unwrap();
            if memory.seek(SeekFrom::Start(at)).is_err() || memory.read_exact(piece).is_err() {
                break;
            }
            let own = piece.as_ptr().addr();
            let found = piece.windows(complement.len()).enumerate().any(|(offset, window)| {
                let address = usize::try_from(at).unwrap().saturating_add(offset);
                let in_own = address >= own && address < own.saturating_add(length);
                !in_own && window.iter().zip(complement).all(|(a, b)| *a == !*b)
            });
            piece.fill(0);
            if found {
                return true;
            }
            // Pieces overlap, so that nothing hides on a border.
            at = at.saturating_add(u64::try_from(length.saturating_sub(complement.len()).max(1)).unwrap());
            if length < buffer.len() {
                break;
            }
        }
    }
    false
}
