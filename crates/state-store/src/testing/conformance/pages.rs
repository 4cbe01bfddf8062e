//! Pages of scans: bounds, prefixes, and where the next page begins.

use crate::batch::MAX_BATCH_WRITES;
use crate::key::{Key, MAX_VALUE_BYTES, Prefix};
use crate::store::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, StateStore};
use crate::testing::case::{
    Broken, Case, Outcome, Site, all, cases, check, committed, head, key, page, prefix, puts, same,
};

pub(super) fn cases<S: StateStore>() -> Vec<Case<S>> {
    cases![
        a_page_holds_as_much_as_was_asked_for,
        a_scan_goes_on_after_any_key,
        a_prefix_is_bytes,
        a_page_ends_at_its_entry_bound,
        a_page_ends_at_its_byte_bound,
    ]
}

fn a_page_holds_as_much_as_was_asked_for<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let names: Vec<String> = (0..10).map(|number| format!("k{number}")).collect();
        let revision = committed(&store, puts(names.iter().map(|name| (name, name)))?).await?;
        committed(&store, puts([("j", "before"), ("l", "after")])?).await?;
        for limit in (0..=11).chain([usize::MAX]) {
            let page = page(&store, &prefix("k")?, None, limit).await?;
            same("a page's revision", &page.revision, &head(&store).await?)?;
            let expected: Vec<&String> = names.iter().take(limit).collect();
            let found: Vec<&[u8]> = page.entries.iter().map(|entry| entry.key.as_bytes()).collect();
            check(
                found.iter().eq(expected.iter().map(|name| name.as_bytes()).collect::<Vec<_>>().iter()),
                || format!("a page of limit {limit}: found {found:?}, expected {expected:?}"),
            )?;
            same("whether there is more", &page.more, &(limit < 10))?;
            check(page.entries.iter().all(|entry| entry.value.as_bytes() == entry.key.as_bytes()), || {
                "a page shows another value than was written".into()
            })?;
            check(page.entries.iter().all(|entry| entry.revision == revision), || {
                "a page shows another revision than a key was written at".into()
            })?;
        }
        let none = page(&store, &prefix("kk")?, None, 0).await?;
        same("whether there is more where nothing is", &none.more, &false)
    })
}

fn a_scan_goes_on_after_any_key<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let names = ["a", "p", "p\0", "p/a", "p/b", "p/b\0", "p/b/c", "p/d", "q", "q/a"];
        committed(&store, puts(names.iter().map(|name| (name, "1")))?).await?;
        let afters = ["\0", "a", "o", "p", "p/", "p/a", "p/a\0", "p/b", "p/c", "p/d", "p0", "q", "z"];
        for start in ["", "p", "p/", "p/b", "q", "r"] {
            let prefix = prefix(start)?;
            for after in afters.iter().map(Some).chain([None]) {
                let expected: Vec<&str> = names
                    .iter()
                    .copied()
                    .filter(|name| name.starts_with(start) && after.is_none_or(|after| name > after))
                    .collect();
                let after = after.map(key).transpose()?;
                let page = page(&store, &prefix, after.as_ref(), 100).await?;
                same_keys(&page.entries.iter().map(|entry| &entry.key).collect::<Vec<_>>(), &expected)?;
                same("whether there is more", &page.more, &false)?;
            }
            for limit in [1, 2, 3, 7] {
                let expected: Vec<&str> =
                    names.iter().copied().filter(|name| name.starts_with(start)).collect();
                let found = all(&store, &prefix, limit).await?;
                same_keys(&found.iter().map(|entry| &entry.key).collect::<Vec<_>>(), &expected)?;
            }
        }
        Ok(())
    })
}

fn a_prefix_is_bytes<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let names: [&[u8]; 14] = [
            b"\0",
            b"%",
            b"A/1",
            b"_",
            b"a",
            b"a%b",
            b"a/1",
            b"a_b",
            b"aXb",
            b"b\xfe",
            b"b\xff",
            b"b\xff\0",
            b"b\xff\xff",
            b"c",
        ];
        let more: [&[u8]; 4] = [b"\xff", b"\xff\0", b"\xff\xff", b"\xff\xff\xff"];
        let names: Vec<&[u8]> = names.into_iter().chain(more).collect();
        committed(&store, puts(names.iter().map(|name| (name, "1")))?).await?;
        let starts: [&[u8]; 16] = [
            b"",
            b"\0",
            b"%",
            b"_",
            b"a",
            b"a%",
            b"a_",
            b"a/",
            b"A",
            b"b",
            b"b\xff",
            b"b\xff\xff",
            b"\xff",
            b"\xff\xff",
            b"\xff\xff\xff\xff",
            b"c\xff",
        ];
        for start in starts {
            let expected: Vec<&[u8]> = names.iter().copied().filter(|name| name.starts_with(start)).collect();
            for limit in [2, 100] {
                let found = all(&store, &prefix(start)?, limit).await?;
                same_keys(&found.iter().map(|entry| &entry.key).collect::<Vec<_>>(), &sorted(&expected))?;
            }
        }
        Ok(())
    })
}

fn a_page_ends_at_its_entry_bound<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let names: Vec<String> = (0..=MAX_PAGE_ENTRIES).map(|number| format!("k{number:06}")).collect();
        for names in names.chunks(MAX_BATCH_WRITES) {
            committed(&store, puts(names.iter().map(|name| (name, "")))?).await?;
        }
        let first = page(&store, &Prefix::all(), None, usize::MAX).await?;
        same("how many entries the first page has", &first.entries.len(), &MAX_PAGE_ENTRIES)?;
        same("whether there is more", &first.more, &true)?;
        let last = first.entries.last().map(|entry| &entry.key);
        let second = page(&store, &Prefix::all(), last, usize::MAX).await?;
        same_keys(
            &second.entries.iter().map(|entry| &entry.key).collect::<Vec<_>>(),
            &names.last().into_iter().collect::<Vec<_>>(),
        )?;
        same("whether there is more", &second.more, &false)?;
        let rest = page(&store, &Prefix::all(), Some(&key("k000000")?), usize::MAX).await?;
        same("how many entries a full page has", &rest.entries.len(), &MAX_PAGE_ENTRIES)?;
        same("whether there is more after a page that ends with the last key", &rest.more, &false)
    })
}

fn a_page_ends_at_its_byte_bound<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let full =
            MAX_PAGE_BYTES.checked_div(MAX_VALUE_BYTES).ok_or_else(|| Broken::new("values have no bound"))?;
        let largest = vec![7; MAX_VALUE_BYTES];
        for number in 0..=full {
            committed(&store, puts([(format!("k{number:03}"), &largest)])?).await?;
        }
        // The page ends with the entry that reaches the bound, whatever more was asked for.
        let first = page(&store, &Prefix::all(), None, usize::MAX).await?;
        same("how many entries reach the bound", &first.entries.len(), &full)?;
        same("whether there is more", &first.more, &true)?;
        let rest = page(&store, &Prefix::all(), Some(&key("k000")?), usize::MAX).await?;
        same("how many entries are left", &rest.entries.len(), &full)?;
        same("whether there is more after the last key", &rest.more, &false)?;
        // One byte below the bound, the next entry still belongs to the page.
        let smaller = largest.get(1..).unwrap_or_default();
        committed(&store, puts([("k000", smaller)])?).await?;
        let page = page(&store, &Prefix::all(), None, usize::MAX).await?;
        same("how many entries begin below the bound", &page.entries.len(), &full.saturating_add(1))?;
        same("whether there is more", &page.more, &false)
    })
}

fn same_keys<B: AsRef<[u8]>>(found: &[&Key], expected: &[B]) -> Outcome {
    check(found.iter().map(|key| key.as_bytes()).eq(expected.iter().map(AsRef::as_ref)), || {
        let expected: Vec<String> =
            expected.iter().map(|bytes| bytes.as_ref().escape_ascii().to_string()).collect();
        format!("a scan found {found:?}, expected {expected:?}")
    })
}

fn sorted<'a>(names: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}
