//! Every order in which threads can come to a subject's row, and to a state that is swapped for the next: with loom, which
//! runs the threads one at a time and changes over at each [`step`], in all ways there are with a few changes.
//!
//! What is between two steps is taken to be one: that of `arc-swap` and of the standard library is theirs to prove.

use std::cell::RefCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use core_types::{Id, Permission, Principal, Restriction, Scope, Subject, UnixTime};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use state_store::Revision;

use super::Directory;
use crate::builtin::BuiltInRole;
use crate::decision::Decision;
use crate::holder::{GroupId, Holder};
use crate::record::{BindingRecord, GroupRecord, MembershipRecord, NestingRecord, SubjectRecord};
use crate::request::AccessRequest;

thread_local! {
    // loom runs all threads of a model on one.
    static MODEL: RefCell<Option<Arc<AtomicUsize>>> = const { RefCell::new(None) };
}

/// Where loom may change over to another thread; outside of a model, nothing.
pub(super) fn step() {
    let model = MODEL.with(|model| model.borrow().clone());
    if let Some(steps) = model {
        // Each is in order with all others, so that all orders are different to loom.
        steps.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs this in every order, with at most so many changes of a thread that could have gone on; says how many there were.
fn in_every_order(changes: usize, run: impl Fn() + Sync + Send + 'static) -> usize {
    let orders = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&orders);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(changes);
    model.max_branches = 100_000;
    let run = Arc::new(run);
    model.check(move || {
        MODEL.with(|model| *model.borrow_mut() = Some(Arc::new(AtomicUsize::new(0))));
        let run = Arc::clone(&run);
        spawn(move || run()).join().unwrap();
        MODEL.with(|model| *model.borrow_mut() = None);
        count.fetch_add(1, Ordering::Relaxed);
    });
    orders.load(Ordering::Relaxed)
}

/// A thread of the model, with a stack that is enough for a row that is made without optimisation.
fn spawn(run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().stack_size(1 << 17).spawn(run).unwrap()
}

/// Alice is in a group, and that in another one, which has a role.
fn first() -> Directory {
    let mut directory = Directory::new();
    let at = Revision::new(1);
    let name = || "some".parse().unwrap();
    directory.set_subject(SubjectRecord::new(alice(), name(), Scope::root()), at);
    for number in 1..=3 {
        directory.set_group_record(GroupRecord::new(group(number), name(), Scope::root()), at);
    }
    directory.set_membership(MembershipRecord::new(group(1), alice()), at);
    directory.set_nesting(NestingRecord::new(group(2), group(1)), at);
    give(&mut directory, 2, 1, 1);
    directory
}

/// The state after the next commit: of an odd one, the group that Alice's is in has the one role, else the other; and another
/// group, which is nobody's, changes with every second.
fn next(directory: &Directory, revision: u64) -> Directory {
    let mut next = directory.clone();
    give(&mut next, 2, 1, revision);
    if revision.is_multiple_of(2) {
        give(&mut next, 3, 2, revision);
    }
    next
}

/// The same, but that what changes is no concern of Alice's.
fn next_of_others(directory: &Directory, revision: u64) -> Directory {
    let mut next = directory.clone();
    give(&mut next, 3, 2, revision);
    next
}

fn give(directory: &mut Directory, to: u8, binding: u8, revision: u64) {
    let role = if revision.is_multiple_of(2) { BuiltInRole::DatabasesWrite } else { BuiltInRole::AppsRead };
    let record = BindingRecord::new(
        Id::from_bytes([binding; 16]),
        role.into(),
        Holder::Group(group(to)),
        Scope::root(),
    );
    directory.set_binding(record, Revision::new(revision));
}

fn alice() -> Subject {
    Subject::User(Id::from_bytes([9; 16]))
}

fn group(number: u8) -> GroupId {
    Id::from_bytes([number; 16])
}

/// Asks, and says whether the answer is that of the state after so many commits.
fn answers_as(directory: &Directory, revision: u64) -> bool {
    let (principal, whole, scope) = (Principal::subject(alice()), Restriction::unrestricted(), Scope::root());
    let may = |permission: &str| {
        let permission: Permission = permission.parse().unwrap();
        let request = AccessRequest::new(&principal, &whole, &permission, &scope, UnixTime::EPOCH);
        matches!(directory.at(Revision::new(revision)).authorize(&request), Decision::Allow(_))
    };
    let is_even = revision.is_multiple_of(2);
    may("apps:read") != is_even && may("databases:write") == is_even
}

#[test]
fn whoever_comes_first_to_a_row_everyone_has_the_answer_of_its_own_state() {
    let orders = in_every_order(3, || {
        // Two states share Alice's record, and with it her row.
        let one = Arc::new(first());
        let two = Arc::new(next(&one, 2));
        let ask = |state: &Arc<Directory>, revision| {
            let state = Arc::clone(state);
            spawn(move || assert!(answers_as(&state, revision)))
        };
        let threads = [ask(&one, 1), ask(&two, 2)];
        assert!(answers_as(&two, 2));
        assert!(answers_as(&one, 1));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(orders > 1000, "{orders}");
}

#[test]
fn a_row_that_is_kept_over_changes_of_others_is_right_in_every_state() {
    let orders = in_every_order(3, || {
        let one = Arc::new(first());
        assert!(answers_as(&one, 1));
        let same = Arc::new(next_of_others(&one, 2));
        let other = Arc::new(next(&same, 4));
        let ask = |state: &Arc<Directory>, revision| {
            let state = Arc::clone(state);
            spawn(move || assert!(answers_as(&state, revision)))
        };
        let threads = [ask(&same, 1), ask(&other, 4)];
        assert!(answers_as(&one, 1));
        assert!(answers_as(&same, 1));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(orders > 1000, "{orders}");
}

#[test]
fn readers_of_a_state_that_is_swapped_see_each_commit_whole_and_never_go_back() {
    let orders = in_every_order(3, || {
        // As a replica publishes: the state with its revision, in one piece.
        let published = Arc::new(ArcSwap::from_pointee((1, first())));
        let read = |published: &Arc<ArcSwap<(u64, Directory)>>| {
            let published = Arc::clone(published);
            spawn(move || {
                let mut before = 0;
                for _ in 0..2 {
                    step();
                    let state = published.load_full();
                    assert!(state.0 >= before, "the state went back");
                    before = state.0;
                    assert!(answers_as(&state.1, before));
                }
            })
        };
        let readers = [read(&published), read(&published)];
        for revision in 2..=3 {
            let state = published.load_full();
            let state = next(&state.1, revision);
            step();
            published.store(Arc::new((revision, state)));
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(answers_as(&published.load_full().1, 3));
    });
    assert!(orders > 1000, "{orders}");
}
