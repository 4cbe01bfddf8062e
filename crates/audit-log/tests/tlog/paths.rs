//! Paths of tiles, bundles, hashes in text form.

use audit_log::tlog::{BundleError, Hash, TILE_WIDTH, TilePath, read_bundle};

#[test]
fn a_path_has_one_spelling() {
    let paths = [
        ("tile/0/000", 0, 256),
        ("tile/0/x001/x234/067", 1_234_067, 256),
        ("tile/63/000.p/1", 0, 1),
        ("tile/2/x001/000.p/255", 1000, 255),
        ("tile/entries/000", 0, 256),
        ("tile/entries/x018/x446/x744/x073/x709/x551/615.p/16", u64::MAX, 16),
    ];
    for (text, index, width) in paths {
        let path: TilePath = text.parse().unwrap();
        assert_eq!((path.index(), path.width(), path.to_string().as_str()), (index, width, text));
        assert_eq!(path.level().is_none(), text.contains("entries"));
    }
    for text in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/x000",
        "tile/0/001/000",
        "tile/0/000/x001",
        "tile/0/x001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1/",
        "tile/0/000 ",
        " tile/0/000",
        "/tile/0/000",
        "tile/Entries/000",
        "tile/data/000",
        "tile/entries/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/../000",
    ] {
        assert!(text.parse::<TilePath>().is_err(), "{text}");
    }
    assert_eq!(TilePath::full(64, 0), None);
    assert_eq!(TilePath::entries(0).with_width(0), None);
    assert_eq!(TilePath::entries(0).with_width(257), None);
    assert_eq!(TilePath::entries(0).with_width(256), Some(TilePath::entries(0)));
}

#[test]
fn a_bundle_has_exactly_the_entries_it_should() {
    let bundle = b"\0\x03abc\0\0\0\x01d";
    assert_eq!(read_bundle(bundle, 3).unwrap(), [&b"abc"[..], b"", b"d"]);
    assert_eq!(read_bundle(bundle, 2), Err(BundleError::Width));
    assert_eq!(read_bundle(bundle, 4), Err(BundleError::Width));
    for end in 1..bundle.len() {
        assert!(read_bundle(&bundle[..end], 3).is_err(), "{end}");
    }
    assert_eq!(read_bundle(b"", 0).unwrap(), Vec::<&[u8]>::new());
    let many = vec![0; 2 * (TILE_WIDTH + 1)];
    assert_eq!(read_bundle(&many, TILE_WIDTH + 1), Err(BundleError::Width));
    assert_eq!(read_bundle(&many[2..], TILE_WIDTH).unwrap().len(), TILE_WIDTH);
}

#[test]
fn a_hash_has_32_bytes_and_one_spelling() {
    let hash = Hash::of_empty_tree();
    let text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!((hash.to_string().as_str(), text.parse()), (text, Ok(hash)));
    for other in
        ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU="]
    {
        assert!(other.parse::<Hash>().is_err(), "{other}");
    }
    for length in (0..100).filter(|length| *length != 32) {
        assert!(Hash::try_from(vec![0; length].as_slice()).is_err());
    }
}
