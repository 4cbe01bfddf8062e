//! After the answer is gone, no plaintext of it is left in the process's memory.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use core_types::Principal;
use pollster::block_on;
use token_vault::attenuated::attenuate;
use token_vault::testing::{Fixture, owner, request, restriction};

#[test]
fn an_issued_secret_is_nowhere_once_its_answer_is_dropped() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random)).delegable();
        let issued = fixture.vault.plan_issue(wish, fixture.now(), &fixture.random).unwrap();
        let (id, owner) = (issued.info.id, issued.info.owner);
        fixture.commit(issued.batch).await;
        // Kept as complements, so that what is looked for is not found in the searcher.
        let mut complements = issued.token.expose_once(|text| {
            assert!(fixture.vault.verify(text, &fixture.context()).is_ok());
            let complements = complements_of(text);
            assert!(holds(&complements[0]), "the search finds what is there");
            complements
        });
        for complement in &complements {
            assert!(!holds(complement), "the secret is left");
        }
        let by = Principal::subject(owner);
        let rotated =
            fixture.vault.plan_rotate(id, Duration::ZERO, by, fixture.now(), &fixture.random).unwrap();
        fixture.commit(rotated.batch).await;
        complements.extend(rotated.token.expose_once(|text| {
            assert!(fixture.vault.verify(text, &fixture.context()).is_ok());
            let bound = restriction("apps:read", "project/web");
            let narrowed = attenuate(fixture.vault.format(), text, &bound).unwrap();
            let tag = narrowed.expose_once(|text| {
                assert!(fixture.vault.verify(text, &fixture.context()).is_ok());
                complement_of(text.get(text.len() - 43..).unwrap().as_bytes())
            });
            let mut complements = complements_of(text);
            complements.push(tag);
            complements
        }));
        for (number, complement) in complements.iter().enumerate() {
            assert!(!holds(complement), "secret or tag {number} is left");
        }
    });
}

/// Of the digits of a token's secret, and of its bytes.
fn complements_of(text: &str) -> Vec<Vec<u8>> {
    let digits = text.get(34..77).unwrap().as_bytes();
    let mut number = vec![0_u8; 32];
    for digit in digits {
        let mut carry = DIGITS.iter().position(|known| known == digit).unwrap();
        for byte in number.iter_mut().rev() {
            carry += usize::from(*byte) * 62;
            *byte = u8::try_from(carry & 255).unwrap();
            carry >>= 8;
        }
    }
    number.iter_mut().for_each(|byte| *byte = !*byte);
    vec![complement_of(digits), number]
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

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
