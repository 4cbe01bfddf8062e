//! Argon2id (RFC 9106 3) without a least length of the salt.
//!
//! For salts under 8 bytes, which exist in the field and which implementations refuse; for all others the `argon2`
//! crate is used, and this is tested against it. Portable and plain, about as fast.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a kernel on blocks of fixed size: lengths are checked once on entry, and the arithmetic is the specification's"
)]

use argon2::Block;
use blake2::digest::{Digest, Output};
use blake2::{Blake2b256, Blake2b512};
use zeroize::Zeroize;

/// How much work.
pub(super) struct Cost {
    /// Passes over the memory: t.
    pub(super) passes: u32,
    /// Memory in KiB, a multiple of 4 x lanes: m.
    pub(super) memory: u32,
    /// Lanes: p.
    pub(super) lanes: u32,
}

/// What is hashed.
pub(super) struct Input<'a> {
    pub(super) password: &'a [u8],
    pub(super) salt: &'a [u8],
    pub(super) secret: &'a [u8],
    pub(super) data: &'a [u8],
}

/// Derives 32 bytes; `None` when the memory is not of the size that `cost` says.
pub(super) fn derive(cost: &Cost, input: &Input<'_>, memory: &mut [Block], out: &mut [u8; 32]) -> Option<()> {
    let lanes = cost.lanes as usize;
    let blocks = cost.memory as usize;
    if lanes == 0 || blocks < 8 * lanes || !blocks.is_multiple_of(4 * lanes) || memory.len() != blocks {
        return None;
    }
    let lane_len = blocks / lanes;
    let segment_len = lane_len / 4;
    first_blocks(cost, input, memory, lane_len);
    for pass in 0..cost.passes as usize {
        for slice in 0..4 {
            for lane in 0..lanes {
                let segment = Segment { pass, slice, lane, lanes, lane_len, segment_len };
                segment.fill(cost, memory);
            }
        }
    }
    let mut last = [0_u64; 128];
    for lane in 0..lanes {
        let block: &[u64] = memory[lane * lane_len + lane_len - 1].as_ref();
        last.iter_mut().zip(block).for_each(|(sum, word)| *sum ^= word);
    }
    let mut bytes = Vec::with_capacity(Block::SIZE);
    last.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    // H' of 32 bytes is one BLAKE2b of that length (RFC 9106 3.3).
    out.copy_from_slice(
        &Blake2b256::new().chain_update(32_u32.to_le_bytes()).chain_update(&bytes).finalize(),
    );
    bytes.zeroize();
    last.zeroize();
    Some(())
}

/// H0, and the first two blocks of each lane (RFC 9106 3.2, steps 1 to 4).
fn first_blocks(cost: &Cost, input: &Input<'_>, memory: &mut [Block], lane_len: usize) {
    let mut hash = Blake2b512::new();
    for number in [cost.lanes, 32, cost.memory, cost.passes, 0x13, 2] {
        hash.update(number.to_le_bytes());
    }
    for part in [input.password, input.salt, input.secret, input.data] {
        hash.update((part.len() as u32).to_le_bytes());
        hash.update(part);
    }
    let mut first = hash.finalize();
    for lane in 0..cost.lanes {
        for index in 0..2_u32 {
            let block: &mut [u64] = memory[lane as usize * lane_len + index as usize].as_mut();
            long_hash(&[&first, &index.to_le_bytes(), &lane.to_le_bytes()], block);
        }
    }
    first.zeroize();
}

/// H' of 1024 bytes (RFC 9106 3.3): thirty halves of a chain of BLAKE2b, and the whole of the last.
fn long_hash(parts: &[&[u8]], block: &mut [u64]) {
    let mut hash = Blake2b512::new().chain_update(1024_u32.to_le_bytes());
    parts.iter().for_each(|part| hash.update(part));
    let mut link: Output<Blake2b512> = hash.finalize();
    for (number, words) in block.chunks_mut(4).enumerate() {
        // The last half is the second one of the last link.
        let half = if number == 31 { &link[32..] } else { &link[..32] };
        for (word, bytes) in words.iter_mut().zip(half.chunks(8)) {
            let mut whole = [0; 8];
            whole.copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        if number < 30 {
            link = Blake2b512::digest(link);
        }
    }
    link.zeroize();
}

/// Where in the matrix (RFC 9106 3.4).
struct Segment {
    pass: usize,
    slice: usize,
    lane: usize,
    lanes: usize,
    lane_len: usize,
    segment_len: usize,
}

impl Segment {
    fn fill(&self, cost: &Cost, memory: &mut [Block]) {
        // Argon2id: the first half of the first pass goes by addresses that do not depend on the secret.
        let independent = self.pass == 0 && self.slice < 2;
        let mut counter = [0_u64; 128];
        counter[..6].copy_from_slice(&[
            self.pass as u64,
            self.lane as u64,
            self.slice as u64,
            u64::from(cost.memory),
            u64::from(cost.passes),
            2,
        ]);
        let mut addresses = [0_u64; 128];
        for index in 0..self.segment_len {
            if independent && index % 128 == 0 {
                counter[6] += 1;
                let once = compress(&[0; 128], &counter);
                addresses = compress(&[0; 128], &once);
            }
            if self.pass == 0 && self.slice == 0 && index < 2 {
                continue;
            }
            let column = self.slice * self.segment_len + index;
            let row = self.lane * self.lane_len;
            let previous = words(&memory[row + (column + self.lane_len - 1) % self.lane_len]);
            let random = if independent { addresses[index % 128] } else { previous[0] };
            let reference = words(&memory[self.reference(random, index)]);
            let mut new = compress(&previous, &reference);
            let old: &mut [u64] = memory[row + column].as_mut();
            if self.pass > 0 {
                new.iter_mut().zip(old.iter()).for_each(|(word, before)| *word ^= before);
            }
            old.copy_from_slice(&new);
        }
    }

    /// The block to mix in (RFC 9106 3.4.2).
    fn reference(&self, random: u64, index: usize) -> usize {
        let (j1, j2) = (random & 0xffff_ffff, random >> 32);
        let lane =
            if self.pass == 0 && self.slice == 0 { self.lane } else { (j2 % self.lanes as u64) as usize };
        let finished =
            if self.pass == 0 { self.slice * self.segment_len } else { self.lane_len - self.segment_len };
        let area =
            if lane == self.lane { finished + index - 1 } else { finished - usize::from(index == 0) } as u64;
        let x = (j1 * j1) >> 32;
        let y = (area * x) >> 32;
        let relative = (area - 1 - y) as usize;
        let start = if self.pass == 0 || self.slice == 3 { 0 } else { (self.slice + 1) * self.segment_len };
        lane * self.lane_len + (start + relative) % self.lane_len
    }
}

fn words(block: &Block) -> [u64; 128] {
    let mut words = [0; 128];
    words.copy_from_slice(block.as_ref());
    words
}

/// G (RFC 9106 3.5).
fn compress(left: &[u64; 128], right: &[u64; 128]) -> [u64; 128] {
    let mut mixed = [0_u64; 128];
    for (word, (a, b)) in mixed.iter_mut().zip(left.iter().zip(right)) {
        *word = a ^ b;
    }
    let before = mixed;
    for row in 0..8 {
        permute(&mut mixed, &core::array::from_fn(|at| 16 * row + at));
    }
    for column in 0..8 {
        permute(&mut mixed, &core::array::from_fn(|at| 2 * column + 16 * (at / 2) + at % 2));
    }
    mixed.iter_mut().zip(before).for_each(|(word, was)| *word ^= was);
    mixed
}

/// P on the sixteen words at these places (RFC 9106 3.6).
fn permute(words: &mut [u64; 128], at: &[usize; 16]) {
    for [a, b, c, d] in [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ] {
        quarter(words, [at[a], at[b], at[c], at[d]]);
    }
}

fn quarter(words: &mut [u64; 128], [a, b, c, d]: [usize; 4]) {
    for (first, second) in [(32, 24), (16, 63)] {
        words[a] = mix(words[a], words[b]);
        words[d] = (words[d] ^ words[a]).rotate_right(first);
        words[c] = mix(words[c], words[d]);
        words[b] = (words[b] ^ words[c]).rotate_right(second);
    }
}

/// A sum with a product of the low halves, modulo 2^64.
fn mix(x: u64, y: u64) -> u64 {
    let product = (x & 0xffff_ffff).wrapping_mul(y & 0xffff_ffff);
    x.wrapping_add(y).wrapping_add(product.wrapping_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_rfc_9106_5_3_comes_out() {
        let cost = Cost { passes: 3, memory: 32, lanes: 4 };
        let input = Input { password: &[1; 32], salt: &[2; 16], secret: &[3; 8], data: &[4; 12] };
        let mut memory = vec![Block::new(); 32];
        let mut tag = [0; 32];
        derive(&cost, &input, &mut memory, &mut tag).unwrap();
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    #[test]
    fn memory_of_another_size_is_refused() {
        let input = Input { password: b"", salt: b"", secret: b"", data: b"" };
        for (memory, lanes, blocks) in [(32, 4, 31), (32, 4, 33), (30, 4, 30), (16, 4, 16), (32, 0, 32)] {
            let cost = Cost { passes: 1, memory, lanes };
            assert!(derive(&cost, &input, &mut vec![Block::new(); blocks], &mut [0; 32]).is_none());
        }
    }
}
