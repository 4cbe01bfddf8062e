//! The objects of a git repository (gitformat-pack, gitrepository-layout), read without git, to look for tokens in
//! them: loose ones, and packs with their deltas. SHA-1 repositories; objects past a bound are an error, not empty.
//!
//! Ids are taken from the index and are not computed: what is looked for is in the contents, whatever they are called.

use std::io::{self, Read, Seek, SeekFrom};

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// The most bytes of an object that is put together from deltas, and of each object it is made of.
pub const MAX_DELTA_OBJECT: u64 = 64 << 20;
/// The most bytes of all objects that one is put together from.
pub const MAX_DELTA_WORK: u64 = 4 << 30;
/// The most deltas upon one another; git makes 50 unless told otherwise, 4095 at most.
pub const MAX_CHAIN: usize = 4096;
/// The most bytes of an index file.
pub const MAX_INDEX: u64 = 1 << 30;

/// What an object's id is made of.
type Id = [u8; 20];

/// Inflates `from` into `each`, piece by piece.
fn inflated(mut from: impl Read, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut state = InflateState::new_boxed(DataFormat::Zlib);
    let (mut input, mut output) = (vec![0; BUFFER], vec![0; BUFFER]);
    let (mut start, mut end) = (0, 0);
    loop {
        if start == end {
            (start, end) = (0, from.read(&mut input)?);
        }
        let step = inflate(&mut state, input.get(start..end).unwrap_or_default(), &mut output, MZFlush::None);
        start = start.saturating_add(step.bytes_consumed);
        each(output.get(..step.bytes_written).unwrap_or_default())?;
        match step.status {
            Ok(MZStatus::StreamEnd) => return Ok(()),
            Ok(_) if step.bytes_consumed > 0 || step.bytes_written > 0 => {}
            _ => return Err(damaged("what is compressed is damaged or cut off")),
        }
    }
}

/// Gives the contents of a loose object, as it lies in a file of its own, to `each`, without its header.
///
/// # Errors
/// The reader's, and [`io::ErrorKind::InvalidData`] for what is damaged; what came before was given.
pub fn loose(object: impl Read, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut header = Some(0_usize);
    inflated(object, &mut |piece| {
        let Some(length) = &mut header else {
            each(piece);
            return Ok(());
        };
        let end = piece.iter().position(|&byte| byte == 0);
        *length = length.saturating_add(end.unwrap_or(piece.len()));
        if *length > MAX_HEADER {
            return Err(damaged("no header of an object"));
        }
        if let Some(end) = end {
            header = None;
            each(piece.get(end.saturating_add(1)..).unwrap_or_default());
        }
        Ok(())
    })?;
    if header.is_some() { Err(damaged("no header of an object")) } else { Ok(()) }
}

/// A pack and what its index says is in it.
#[derive(Debug)]
pub struct Pack<R> {
    pack: R,
    // Sorted by id, as far as the index is sound.
    objects: Vec<(Id, u64)>,
}

#[derive(Debug)]
enum Entry {
    Whole,
    Delta { base: u64 },
}

impl<R: Read + Seek> Pack<R> {
    /// A pack (`….pack`) of version 2 with its index (`….idx`) of version 2, of which [`MAX_INDEX`] bytes are read.
    ///
    /// # Errors
    /// The readers', and [`io::ErrorKind::InvalidData`] when they are of another form.
    pub fn open(mut pack: R, index: impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        index.take(MAX_INDEX).read_to_end(&mut bytes)?;
        let mut head = [0; 8];
        pack.seek(SeekFrom::Start(0))?;
        pack.read_exact(&mut head)?;
        if head != *b"PACK\0\0\0\x02" {
            return Err(damaged("not a pack of version 2"));
        }
        let objects = read_index(&bytes).ok_or_else(|| damaged("not an index of version 2"))?;
        Ok(Self { pack, objects })
    }

    /// The ids of its objects in hexadecimal, and where they lie, in the order of the file.
    #[must_use]
    pub fn objects(&self) -> Vec<(String, u64)> {
        let mut objects: Vec<_> = self.objects.iter().map(|(id, at)| (hex(id), *at)).collect();
        objects.sort_unstable_by_key(|(_, at)| *at);
        objects
    }

    /// Gives the contents of the object that lies at `at` to `each`.
    ///
    /// # Errors
    /// The reader's, and [`io::ErrorKind::InvalidData`] for what is damaged or past a bound.
    pub fn read(&mut self, at: u64, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let (mut chain, mut at, mut work) = (Vec::new(), at, 0_u64);
        loop {
            let (entry, size, data) = self.entry(at)?;
            let Entry::Delta { base } = entry else {
                if chain.is_empty() {
                    self.pack.seek(SeekFrom::Start(data))?;
                    return inflated(&mut self.pack, &mut |piece| {
                        each(piece);
                        Ok(())
                    });
                }
                chain.push((data, size));
                break;
            };
            chain.push((data, size));
            if chain.len() > MAX_CHAIN {
                return Err(damaged("too many deltas upon one another"));
            }
            at = base;
        }
        let mut contents = Vec::new();
        for (number, (data, size)) in chain.into_iter().rev().enumerate() {
            let piece = self.whole(data, size)?;
            contents = if number == 0 {
                piece
            } else {
                patched(&contents, &piece).ok_or_else(|| damaged("a delta that does not fit its base"))?
            };
            work = work.saturating_add(u64::try_from(contents.len()).unwrap_or(u64::MAX));
            if work > MAX_DELTA_WORK {
                return Err(damaged("deltas past the bound"));
            }
        }
        each(&contents);
        Ok(())
    }

    /// What kind of entry lies at `at`, how large it is, and where its data begin.
    fn entry(&mut self, at: u64) -> io::Result<(Entry, u64, u64)> {
        let mut head = [0; 64];
        self.pack.seek(SeekFrom::Start(at))?;
        let mut length = 0_usize;
        loop {
            let room = head.get_mut(length..).unwrap_or_default();
            match self.pack.read(room)? {
                0 => break,
                read => length = length.saturating_add(read),
            }
        }
        let mut bytes = head.get(..length).unwrap_or_default();
        let before = bytes.len();
        let parsed =
            parse_entry(&mut bytes, at, &self.objects).ok_or_else(|| damaged("no entry of a pack"))?;
        let used = u64::try_from(before.saturating_sub(bytes.len())).unwrap_or(0);
        Ok((parsed.0, parsed.1, at.saturating_add(used)))
    }

    fn whole(&mut self, data: u64, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_DELTA_OBJECT {
            return Err(damaged("an object past the bound, made of deltas"));
        }
        self.pack.seek(SeekFrom::Start(data))?;
        let mut contents = Vec::new();
        inflated(&mut self.pack, &mut |piece| {
            contents.extend_from_slice(piece);
            let length = u64::try_from(contents.len()).unwrap_or(u64::MAX);
            if length > size { Err(damaged("more than the entry says")) } else { Ok(()) }
        })?;
        Ok(contents)
    }
}

fn read_index(mut bytes: &[u8]) -> Option<Vec<(Id, u64)>> {
    if take(&mut bytes, 8)? != b"\xfftOc\0\0\0\x02" {
        return None;
    }
    let fan_out = take(&mut bytes, 1024)?;
    let count = usize::try_from(number(fan_out.last_chunk::<4>()?)).ok()?;
    let ids = take(&mut bytes, count.checked_mul(20)?)?;
    take(&mut bytes, count.checked_mul(4)?)?;
    let offsets = take(&mut bytes, count.checked_mul(4)?)?;
    let far = bytes;
    let mut objects = Vec::with_capacity(count);
    for (id, offset) in ids.chunks_exact(20).zip(offsets.chunks_exact(4)) {
        let mut at = number(offset);
        if at >= FAR {
            let place = usize::try_from(at.wrapping_sub(FAR)).ok()?.checked_mul(8)?;
            at = number(far.get(place..)?.get(..8)?);
        }
        objects.push((id.try_into().ok()?, at));
    }
    Some(objects)
}

fn parse_entry(bytes: &mut &[u8], at: u64, objects: &[(Id, u64)]) -> Option<(Entry, u64)> {
    let first = next(bytes)?;
    let mut size = u64::from(first & 0x0f);
    let (mut more, mut shift) = (first & 0x80 != 0, 4_u32);
    while more {
        let byte = next(bytes)?;
        size |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift = shift.checked_add(7)?;
        more = byte & 0x80 != 0;
    }
    let entry = match (first >> 4) & 7 {
        1..=4 => Entry::Whole,
        6 => {
            let mut byte = next(bytes)?;
            let mut back = u64::from(byte & 0x7f);
            while byte & 0x80 != 0 {
                byte = next(bytes)?;
                back = back.checked_add(1)?.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
            }
            // Only ever backwards, so that no chain is a ring.
            Entry::Delta { base: at.checked_sub(back).filter(|base| *base < at)? }
        }
        7 => {
            let id: Id = take(bytes, 20)?.try_into().ok()?;
            let place = objects.binary_search_by(|(known, _)| known.cmp(&id)).ok()?;
            Entry::Delta { base: objects.get(place)?.1 }
        }
        _ => return None,
    };
    Some((entry, size))
}

/// What a delta makes of its base.
fn patched(base: &[u8], mut delta: &[u8]) -> Option<Vec<u8>> {
    let base_size = size(&mut delta)?;
    let target_size = size(&mut delta)?;
    if usize::try_from(base_size).ok()? != base.len() || target_size > MAX_DELTA_OBJECT {
        return None;
    }
    let target_size = usize::try_from(target_size).ok()?;
    let mut target = Vec::new();
    while !delta.is_empty() {
        let word = next(&mut delta)?;
        if word & 0x80 == 0 {
            // Zero is reserved.
            let length = usize::from(word);
            target.extend_from_slice(take(&mut delta, length).filter(|new| !new.is_empty())?);
        } else {
            let mut field = |bits: core::ops::Range<u32>| {
                let first = bits.start;
                bits.into_iter().try_fold(0_u32, |sum, bit| {
                    if u32::from(word) & 1_u32.wrapping_shl(bit) == 0 {
                        return Some(sum);
                    }
                    let shift = bit.wrapping_sub(first).wrapping_mul(8);
                    Some(sum | u32::from(next(&mut delta)?).wrapping_shl(shift))
                })
            };
            let from = usize::try_from(field(0..4)?).ok()?;
            let length = match field(4..7)? {
                0 => 0x1_0000,
                length => usize::try_from(length).ok()?,
            };
            target.extend_from_slice(base.get(from..)?.get(..length)?);
        }
        if target.len() > target_size {
            return None;
        }
    }
    (target.len() == target_size).then_some(target)
}

fn size(bytes: &mut &[u8]) -> Option<u64> {
    let (mut size, mut shift) = (0_u64, 0_u32);
    loop {
        let byte = next(bytes)?;
        size |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(size);
        }
        shift = shift.checked_add(7)?;
    }
}

fn next(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn hex(id: &Id) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const BUFFER: usize = 64 << 10;
/// The most bytes of a header that are waited for.
const MAX_HEADER: usize = 64;
/// Offsets from here on are places in the table of far ones.
const FAR: u64 = 1 << 31;
