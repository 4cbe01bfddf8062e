//! Groups in groups: what is refused, what a batch rests on, and that nobody nests what it does not hold.

use core_types::{Limit, Subject};
use iam_policy::plan::{MAX_GROUPS_ABOVE, MAX_GROUPS_WITHIN, MAX_NESTING_DEPTH};
use iam_policy::{BuiltInRole, GroupId, WriteError};

use crate::fixture::{Fixture, NOW, deny, escalation, patterns, scope, whole};

/// Dev is in `inner`; lead holds `apps:*` at the root.
struct Groups {
    all: Fixture,
    lead: Subject,
    dev: Subject,
    outer: GroupId,
    inner: GroupId,
}

impl Groups {
    fn new() -> Self {
        let mut all = Fixture::new();
        let (lead, dev, outer, inner) = (all.user("/"), all.user("/"), all.group("/"), all.group("/"));
        all.join(inner, dev);
        all.give(lead, &["apps:*"], "/");
        Self { all, lead, dev, outer, inner }
    }

    fn nest_by(&mut self, by: Subject, outer: GroupId, inner: GroupId) -> Result<(), WriteError> {
        self.all.by(&whole(by), |plan, _| plan.add_group(outer, inner))
    }

    fn nest(&mut self, outer: GroupId, inner: GroupId) -> Result<(), WriteError> {
        self.nest_by(self.all.root, outer, inner)
    }

    fn unnest_by(&mut self, by: Subject, outer: GroupId, inner: GroupId) -> Result<(), WriteError> {
        self.all.by(&whole(by), |plan, _| plan.remove_group(outer, inner))
    }

    fn groups(&mut self, count: usize) -> Vec<GroupId> {
        (0..count).map(|_| self.all.group("/")).collect()
    }
}

#[test]
fn members_come_to_have_what_the_groups_of_their_group_have_and_cease_to() {
    let mut it = Groups::new();
    let top = it.all.group("/");
    it.all.give(top, &["apps:read"], "project/web");
    assert!(!it.all.allows(it.dev, "apps:read", "project/web"));
    it.nest(it.outer, it.inner).unwrap();
    it.nest(top, it.outer).unwrap();
    assert!(it.all.allows(it.dev, "apps:read", "project/web"));
    assert_eq!(
        it.all.iam.directory().groups_in(it.outer).map(|group| group.id).collect::<Vec<_>>(),
        [it.inner]
    );
    assert_eq!(it.all.iam.directory().nestings().count(), 2);
    it.unnest_by(it.all.root, it.outer, it.inner).unwrap();
    assert!(!it.all.allows(it.dev, "apps:read", "project/web"));
    assert_eq!(it.unnest_by(it.all.root, it.outer, it.inner), Err(WriteError::NotNested(it.inner, it.outer)));
}

#[test]
fn nobody_nests_a_group_in_one_that_holds_more_than_it_does_itself() {
    let mut it = Groups::new();
    let top = it.all.group("/");
    it.all.give(it.outer, &["apps:read"], "/");
    assert_eq!(it.nest_by(it.lead, it.outer, it.inner), Ok(()));
    it.unnest_by(it.lead, it.outer, it.inner).unwrap();
    // What it would come to have by a further group is as little to give.
    it.all.give(top, &["storage:*"], "project/web");
    it.nest(top, it.outer).unwrap();
    let refused = Err(escalation("storage:*", "project/web"));
    assert_eq!(it.nest_by(it.lead, it.outer, it.inner), refused);
    // Nor does it let someone in who would have it by two groups.
    let join = |it: &mut Groups| {
        let (outer, stranger) = (it.outer, it.all.user("/"));
        it.all.by(&whole(it.lead), |plan, _| plan.add_member(outer, stranger))
    };
    assert_eq!(join(&mut it), refused);
    // Nor is someone enabled, or a boundary lifted, who has it so.
    it.nest(it.outer, it.inner).unwrap();
    let (root, dev) = (whole(it.all.root), it.dev);
    it.all.by(&root, |plan, _| plan.disable(dev)).unwrap();
    assert_eq!(it.all.by(&whole(it.lead), |plan, _| plan.enable(dev)), refused);
    it.all.give(it.lead, &["storage:*"], "/");
    assert_eq!(it.all.by(&whole(it.lead), |plan, _| plan.enable(dev)), Ok(()));
    assert_eq!(join(&mut it), Ok(()));
}

#[test]
fn who_takes_a_group_out_must_hold_what_was_denied_by_it_and_by_those_above() {
    let mut it = Groups::new();
    let top = it.all.group("/");
    let policy = it.all.policy(&[deny(&["storage:*"])]);
    it.all.bind_until(policy, top, "/", Limit::Unlimited);
    it.nest(it.outer, it.inner).unwrap();
    it.nest(top, it.outer).unwrap();
    let refused = Err(escalation("storage:*", "/"));
    assert_eq!(it.unnest_by(it.lead, it.outer, it.inner), refused);
    let (inner, dev) = (it.inner, it.dev);
    assert_eq!(it.all.by(&whole(it.lead), |plan, _| plan.remove_member(inner, dev)), refused);
    it.all.give(it.lead, &["storage:*"], "/");
    assert_eq!(it.unnest_by(it.lead, it.outer, it.inner), Ok(()));
}

#[test]
fn a_circle_is_refused_with_the_way_that_closes_it() {
    let mut it = Groups::new();
    let top = it.all.group("/");
    assert_eq!(it.nest(top, top), Err(WriteError::Circle { groups: vec![top] }));
    it.nest(it.outer, it.inner).unwrap();
    it.nest(top, it.outer).unwrap();
    let groups = vec![it.inner, it.outer, top];
    assert_eq!(it.nest(it.inner, top), Err(WriteError::Circle { groups }));
    assert_eq!(it.nest(it.outer, it.inner), Err(WriteError::Unchanged));
    // A second way to a group is no circle.
    it.nest(top, it.inner).unwrap();
}

#[test]
fn groups_are_nested_as_deep_and_as_many_as_the_bounds_say() {
    let mut it = Groups::new();
    let levels = it.groups(MAX_NESTING_DEPTH + 1);
    for pair in levels.windows(2) {
        it.nest(pair[1], pair[0]).unwrap();
    }
    let too_deep = WriteError::TooMany { what: "levels of groups in groups", limit: MAX_NESTING_DEPTH };
    assert_eq!(it.nest(it.outer, levels[MAX_NESTING_DEPTH]), Err(too_deep.clone()));
    assert_eq!(it.nest(levels[0], it.inner), Err(too_deep));
    it.nest(levels[1], it.inner).unwrap();
    let many = it.groups(MAX_GROUPS_ABOVE + 1);
    let low = it.all.group("/");
    for group in &many[1..] {
        it.nest(*group, low).unwrap();
    }
    let too_many = WriteError::TooMany { what: "groups that one group is in", limit: MAX_GROUPS_ABOVE };
    assert_eq!(it.nest(many[0], low), Err(too_many.clone()));
    // Also for those below.
    assert_eq!(it.nest(many[0], many[1]), Err(too_many));
    let wide = it.groups(MAX_GROUPS_WITHIN + 1);
    for group in &wide[1..] {
        it.nest(wide[0], *group).unwrap();
    }
    let too_wide = WriteError::TooMany { what: "groups in one group", limit: MAX_GROUPS_WITHIN };
    assert_eq!(it.nest(wide[0], low), Err(too_wide.clone()));
    assert_eq!(it.nest(wide[1], low), Err(too_wide));
}

#[test]
fn groups_of_different_tenants_are_not_nested() {
    let mut it = Groups::new();
    let [a, deep, b] = ["project/a", "project/a/vcluster/ci", "project/b"].map(|home| it.all.group(home));
    for (outer, inner) in [(a, b), (b, a), (it.outer, a), (a, it.inner)] {
        assert_eq!(it.nest(outer, inner), Err(WriteError::OtherTenant));
    }
    assert_eq!(it.nest(a, deep), Ok(()));
}

#[test]
fn what_a_nesting_refers_to_must_exist_and_is_not_deleted() {
    let mut it = Groups::new();
    let (outer, inner, root) = (it.outer, it.inner, whole(it.all.root));
    let gone = it.all.group("/");
    it.all.by(&root, |plan, _| plan.delete_group(gone)).unwrap();
    assert_eq!(it.nest(gone, inner), Err(WriteError::UnknownGroup(gone)));
    assert_eq!(it.nest(outer, gone), Err(WriteError::UnknownGroup(gone)));
    it.nest(outer, inner).unwrap();
    let in_use = Err(WriteError::InUse { by: 1 });
    assert_eq!(it.all.by(&root, |plan, _| plan.delete_group(outer)), in_use);
    let dev = it.dev;
    it.all.by(&root, |plan, _| plan.remove_member(inner, dev)).unwrap();
    assert_eq!(it.all.by(&root, |plan, _| plan.delete_group(inner)), in_use);
}

/// Two plans by one state, of which either can be made and not both.
#[test]
fn of_two_changes_that_would_make_a_circle_or_give_too_much_together_one_is_made() {
    type Plan = fn(&mut Groups, bool) -> iam_policy::Planned<()>;
    let by = |it: &Groups, subject: Subject, outer: GroupId, inner: GroupId| {
        it.all.iam.directory().plan(whole(subject).grantor(), NOW).add_group(outer, inner).unwrap()
    };
    // Either closes what the other one opens.
    let mut it = Groups::new();
    let (first, second) =
        (by(&it, it.all.root, it.outer, it.inner), by(&it, it.all.root, it.inner, it.outer));
    it.all.iam.commit(first).unwrap();
    assert!(it.all.iam.commit(second).is_err());
    let ways: [(&str, Plan); 5] = [
        ("the outer group comes to carry more", |it, _| {
            it.all.give(it.outer, &["storage:*"], "/");
            let user = it.all.user("/");
            it.all.iam.directory().plan(whole(it.all.root).grantor(), NOW).add_member(it.outer, user).unwrap()
        }),
        ("a role of it permits more", |it, is_before| {
            if is_before {
                let role = it.all.role("/", &["apps:read"]);
                it.all.bind_until(role, it.outer, "/", Limit::Unlimited);
            }
            let role = it.all.iam.directory().roles().next().unwrap().id;
            let root = whole(it.all.root);
            it.all.iam.directory().plan(root.grantor(), NOW).update_role(role, patterns(&["*:*"])).unwrap()
        }),
        ("the outer group comes to be in one that carries more", |it, is_before| {
            if is_before {
                let top = it.all.group("/");
                it.all.give(top, &["storage:*"], "/");
            }
            let groups = it.all.iam.directory().groups().map(|group| group.id);
            let top = groups.filter(|group| *group != it.outer && *group != it.inner).max().unwrap();
            it.all.iam.directory().plan(whole(it.all.root).grantor(), NOW).add_group(top, it.outer).unwrap()
        }),
        ("the group is deleted", |it, _| {
            let root = whole(it.all.root);
            it.all.iam.directory().plan(root.grantor(), NOW).delete_group(it.outer).unwrap()
        }),
        ("the caller is disabled", |it, _| {
            it.all.iam.directory().plan(whole(it.all.root).grantor(), NOW).disable(it.lead).unwrap()
        }),
    ];
    for (way, plan) in ways {
        let mut it = Groups::new();
        if way.contains("role") || way.contains("one that carries") {
            _ = plan(&mut it, true);
        }
        let planned = by(&it, it.lead, it.outer, it.inner);
        let meanwhile = plan(&mut it, false);
        it.all.iam.commit(meanwhile).unwrap();
        assert!(it.all.iam.commit(planned).is_err(), "{way}");
    }
}

#[test]
fn a_right_held_by_a_nested_group_is_given_only_while_each_nesting_stands() {
    let mut it = Groups::new();
    let top = it.all.group("/");
    it.all.bind_until(BuiltInRole::StorageFull, top, "/", Limit::Unlimited);
    it.nest(top, it.outer).unwrap();
    it.nest(it.outer, it.inner).unwrap();
    let (lead, inner, outer, dev) = (it.lead, it.inner, it.outer, it.dev);
    it.all.join(inner, lead);
    for (group, within) in [(top, outer), (outer, inner)] {
        let planned = it.all.iam.directory().plan(whole(lead).grantor(), NOW).bind(
            BuiltInRole::StorageFull.into(),
            dev.into(),
            scope("/"),
            Limit::Unlimited,
            it.all.iam.rng(),
        );
        let planned = planned.unwrap();
        it.unnest_by(it.all.root, group, within).unwrap();
        assert!(it.all.iam.commit(planned).is_err());
        it.nest(group, within).unwrap();
    }
}
