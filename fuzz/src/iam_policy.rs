//! Names, holders, roles and networks, documents of policies, and the records that decisions are taken by.

mod directory;
mod documents;

use std::net::IpAddr;

use core_types::{Permission, PermissionPattern, Scope};
use iam_policy::condition::Cidr;
use iam_policy::{
    AttributeName, AttributeValue, BuiltInRole, Context, Holder, Name, PatternSet, PolicyDocument, RoleRef,
    Truth,
};

pub(crate) use self::directory::directory;
pub(crate) use self::documents::{covers, directory_document, request};
use crate::follow::NOW;
use crate::text::{is_canonical_network, is_id, is_segment, read};

/// Names, holders, roles, names of attributes, networks, sets of patterns.
pub(crate) fn text(input: &[u8]) -> bool {
    let name = read::<Name>(input, |text| {
        (1..=128).contains(&text.len())
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || ".@_+-".contains(letter))
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
    });
    let holder =
        read::<Holder>(input, |text| ["usr", "svc", "mch", "grp"].iter().any(|prefix| is_id(prefix, text)));
    let role = read::<RoleRef>(input, |text| {
        is_id("rol", text) || is_id("pol", text) || BuiltInRole::ALL.iter().any(|role| role.name() == text)
    });
    let attribute = read::<AttributeName>(input, |text| match text.split('.').collect::<Vec<_>>()[..] {
        [of, name] => is_segment(of) && is_segment(name),
        _ => false,
    });
    let network = read::<Cidr>(input, is_canonical_network);
    if let Some(network) = &network {
        let address = network.to_string().split_once('/').and_then(|(address, _)| address.parse().ok());
        assert!(address.is_some_and(|address: IpAddr| network.contains(address)));
    }
    // A list of patterns in JSON: the set is no wider than the list.
    let (set, list) = (serde_json::from_slice::<PatternSet>(input), serde_json::from_slice::<Vec<_>>(input));
    if let (Ok(set), Ok(list)) = (&set, list) {
        let list: Vec<PermissionPattern> = list;
        assert!(list.iter().all(|pattern| set.contains(pattern)));
        assert!(set.iter().all(|pattern| list.contains(pattern)));
        assert!(set.iter().all(|pattern| set.iter().filter(|other| other.contains(pattern)).count() == 1));
    }
    name.is_some()
        || holder.is_some()
        || role.is_some()
        || attribute.is_some()
        || network.is_some()
        || set.is_ok()
}

/// Documents of policies: written as they are read, and sure of nothing that more knowledge would deny.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
pub(crate) fn document(input: &[u8]) -> bool {
    let Ok(document) = serde_json::from_slice::<PolicyDocument>(input) else { return false };
    let written = serde_json::to_vec(&document).unwrap();
    assert_eq!(serde_json::from_slice::<PolicyDocument>(&written).unwrap(), document);
    let (less, more) = contexts();
    let permission: Permission = "apps:read".parse().unwrap();
    for statement in document.statements() {
        let truth = Truth::all(statement.conditions().iter().map(|condition| condition.holds(&less, NOW)));
        assert_eq!(statement.holds(&less, NOW), truth);
        assert!(truth == Truth::Unknown || statement.holds(&more, NOW) == truth, "{statement:?}");
        for scope in ["/", "project/web"].map(|text| text.parse::<Scope>().unwrap()) {
            let is_concerned = statement.concerns(&permission, &scope);
            assert!(!is_concerned || statement.permissions().matches(&permission));
        }
    }
    !document.statements().is_empty()
}

/// A context that knows little, and one that knows the same and more.
#[expect(clippy::unwrap_used, reason = "constants")]
fn contexts() -> (Context, Context) {
    let texts = || AttributeValue::texts(["a", "b"]).unwrap();
    let less =
        Context::new().with_mfa(true).with_attribute("principal.teams".parse().unwrap(), texts()).unwrap();
    let more = less
        .clone()
        .with_tls(false)
        .with_client_ip([192, 0, 2, 7].into())
        .with_attribute("resource.stage".parse().unwrap(), AttributeValue::text("live").unwrap())
        .and_then(|context| {
            context.with_attribute("request.count".parse().unwrap(), AttributeValue::Number(3))
        })
        .and_then(|context| {
            context.with_attribute("request.urgent".parse().unwrap(), AttributeValue::Flag(true))
        });
    (less, more.unwrap())
}
