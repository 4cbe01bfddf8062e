use std::net::IpAddr;
use std::time::Duration;

use core_types::testing::{arb_id, arb_permission, arb_principal, arb_scope};
use core_types::{Scope, UnixTime};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::checkpoint::{Checkpoint, LogId};
use crate::event::{
    Action, Actor, Client, Completion, Details, Field, Intent, Public, Redacted, ResourceId, Sealed,
    UserAgent,
};

/// Any checkpoint.
pub fn arb_checkpoint() -> impl Strategy<Value = Checkpoint> {
    (any::<[u8; 16]>(), any::<u64>(), any::<[u8; 32]>())
        .prop_map(|(log, sequence, chain)| Checkpoint::new(LogId::from_bytes(log), sequence, chain))
}

/// Any intent, with texts of every kind of character.
pub fn arb_intent() -> impl Strategy<Value = Intent> {
    let client = (any::<IpAddr>(), option::of(any::<IpAddr>())).prop_map(|(peer, forwarded)| {
        let client = Client::peer(peer);
        forwarded.map_or(client, |forwarded| client.with_forwarded(forwarded))
    });
    let user_agent = vec(any::<u8>(), 0..700).prop_map(|bytes| UserAgent::from_header(&bytes));
    let resource = any::<String>().prop_filter_map("not empty", |text| ResourceId::new(text).ok());
    let required = (arb_actor(), arb_permission().prop_map(Action::from), arb_scope(), any::<u64>());
    let optional = (
        option::of(resource),
        option::of(client),
        option::of(user_agent),
        option::of(arb_id()),
        option::of(select(&["vcluster", "volume"][..])),
        arb_details(),
    );
    (required, optional).prop_map(|((actor, action, tenant, started_at), optional)| {
        let (resource, client, user_agent, request, below, details) = optional;
        let scope = below.and_then(|kind| tenant.child(kind, "x").ok());
        let mut intent = Intent::new(actor, action, tenant, UnixTime::from_millis(started_at));
        intent = within(intent, scope);
        if let Some(resource) = resource {
            intent = intent.with_resource(resource);
        }
        if let Some(client) = client {
            intent = intent.with_client(client);
        }
        if let Some(user_agent) = user_agent {
            intent = intent.with_user_agent(user_agent);
        }
        if let Some(request) = request {
            intent = intent.with_request(request);
        }
        details.iter().fold(intent, |intent, (name, value)| {
            intent.clone().with_detail(name, value.clone()).unwrap_or(intent)
        })
    })
}

/// Any completion that a caller can give.
pub fn arb_completion() -> impl Strategy<Value = Completion> {
    let outcomes = [
        Completion::allowed,
        Completion::denied,
        Completion::failed,
        Completion::unauthenticated,
        Completion::unknown,
    ];
    let outcome = (0..outcomes.len()).prop_map(move |index| outcomes.get(index).copied());
    (outcome, any::<u32>(), option::of(any::<String>()), arb_details()).prop_map(
        |(outcome, micros, reason, details)| {
            let duration = Duration::from_micros(micros.into());
            let completion = outcome.unwrap_or(Completion::failed)(duration);
            let completion = match reason {
                Some(reason) => completion.clone().with_reason(reason).unwrap_or(completion),
                None => completion,
            };
            details.iter().fold(completion, |completion, (name, value)| {
                completion.clone().with_detail(name, value.clone()).unwrap_or(completion)
            })
        },
    )
}

/// A few details.
pub fn arb_details() -> impl Strategy<Value = Details> {
    let value = prop_oneof![
        any::<String>().prop_filter_map("short", |text| Public::text(text).ok().map(Field::from)),
        any::<u64>().prop_map(Field::from),
        any::<bool>().prop_map(Field::from),
        vec(any::<u8>(), 1..64)
            .prop_filter_map("a name", |bytes| Sealed::new("key", bytes).ok().map(Field::from)),
        any::<u8>().prop_map(|value| Redacted::of(&value).into()),
    ];
    vec(("[a-z][a-z0-9_]{0,8}", value), 0..4).prop_map(|pairs| {
        pairs.into_iter().fold(Details::new(), |mut details, (name, value)| {
            // A name that comes twice is left out.
            _ = details.insert(&name, value);
            details
        })
    })
}

fn arb_actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        3 => arb_principal().prop_map(Actor::Principal),
        1 => Just(Actor::Anonymous),
        1 => Just(Actor::System),
    ]
}

fn within(intent: Intent, scope: Option<Scope>) -> Intent {
    match scope {
        Some(scope) => intent.clone().with_scope(scope).unwrap_or(intent),
        None => intent,
    }
}
