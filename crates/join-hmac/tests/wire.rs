//! Frames on a stream: how much to read, and what a connection begins with.

use join_hmac::error::WireError;
use join_hmac::wire::{HEADER_LEN, MAX_FRAME_LEN, MAX_LONG_FRAME_LEN, Opening, fields_len};

#[test]
fn the_header_says_how_much_follows() {
    assert_eq!(fields_len([1, 0, 0, 0], MAX_FRAME_LEN), Ok(0));
    assert_eq!(fields_len([1, 0, 1, 2], MAX_FRAME_LEN), Ok(258));
    assert_eq!(fields_len([6, 1, 0, 0], MAX_LONG_FRAME_LEN), Ok(1 << 16));
}

#[test]
fn a_frame_that_would_be_too_long_is_refused_before_it_is_read() {
    let longest = u32::try_from(MAX_FRAME_LEN - HEADER_LEN).unwrap().to_be_bytes();
    let [_, high, middle, low] = longest;
    assert_eq!(fields_len([4, high, middle, low], MAX_FRAME_LEN), Ok(MAX_FRAME_LEN - HEADER_LEN));
    let too_long = Err(WireError::TooLong { limit: MAX_FRAME_LEN });
    assert_eq!(fields_len([4, high, middle, low + 1], MAX_FRAME_LEN), too_long);
    assert_eq!(fields_len([4, 255, 255, 255], MAX_FRAME_LEN), too_long);
}

#[test]
fn a_connection_begins_with_a_hello_or_a_resumption_and_nothing_else() {
    assert_eq!(Opening::of(&[1, 0, 0, 0]), Ok(Opening::Hello));
    assert_eq!(Opening::of(&[11]), Ok(Opening::Resume));
    for kind in (0..=255_u8).filter(|kind| ![1, 11].contains(kind)) {
        assert_eq!(Opening::of(&[kind]), Err(WireError::Kind));
    }
    assert_eq!(Opening::of(&[]), Err(WireError::Truncated));
}
