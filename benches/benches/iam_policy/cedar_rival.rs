//! cedar-policy, as its users write it, and as one who knows its costs would.

use std::collections::HashSet;
use std::fmt::Write;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
};

use crate::clock::Contender;
use crate::loaded;
use crate::world::{SERVICES, VERBS, World};

pub(crate) struct Cedar {
    policies: PolicySet,
    entities: Entities,
    requests: Vec<Request>,
}

impl Cedar {
    pub(crate) fn contender<'a>(&'a self, name: &'static str, world: &'a World) -> Contender<'a> {
        let authorizer = Authorizer::new();
        let decide = move |from: usize, count: usize| {
            let mut allowed = 0;
            for number in from..from + count {
                let request = &self.requests[number % self.requests.len()];
                let answer = authorizer.is_authorized(request, &self.policies, &self.entities);
                allowed += usize::from(answer.decision() == Decision::Allow);
            }
            allowed
        };
        // As many as can be checked in a few seconds.
        let checked = (1_000_000 / (world.roles.len() + 100)).min(2_048);
        Contender { name, is_of_strings: false, decide: Box::new(decide), checked }
    }
}

/// One `permit`, and where a role denies one `forbid`, per role; users are in roles by groups.
pub(crate) fn idiomatic(world: &World) -> Cedar {
    loaded("cedar, idiomatic", world.users.len(), || {
        let mut text = String::new();
        for (number, role) in world.roles.iter().enumerate() {
            let role_is = format!("principal in Role::\"{number}\"");
            if role.is_all {
                writeln!(text, "permit({role_is}, action, resource);").unwrap();
            } else {
                let single = role.permissions.iter().map(|number| action(*number));
                let services = role.services.iter().map(|service| format!("Action::\"service{service}\""));
                let actions: Vec<String> = single.chain(services).collect();
                writeln!(text, "permit({role_is}, action in [{}], resource);", actions.join(", ")).unwrap();
            }
            if let Some(denied) = role.denied {
                writeln!(text, "forbid({role_is}, action == {}, resource);", action(denied)).unwrap();
            }
        }
        let mut entities = vec![];
        for service in 0..SERVICES {
            let group = uid(&format!("Action::\"service{service}\""));
            let members = (0..VERBS).map(|verb| uid(&action(service * VERBS + verb)));
            entities
                .extend(members.map(|member| Entity::new_no_attrs(member, HashSet::from([group.clone()]))));
            entities.push(Entity::new_no_attrs(group, HashSet::new()));
        }
        members(world, &mut entities, |_| HashSet::new());
        let requests = requests(world, |request| (uid(&action(request.permission)), Context::empty()));
        Cedar {
            policies: text.parse().unwrap(),
            entities: Entities::from_entities(entities, None).unwrap(),
            requests,
        }
    })
}

/// Permissions are entities that users are in, by groups and roles; two policies ask for the one of the request.
pub(crate) fn expert(world: &World) -> Cedar {
    let text = "permit(principal, action, resource) when { principal in context.allow };\
        forbid(principal, action, resource) when { principal in context.deny };";
    loaded("cedar, expert", world.users.len(), || {
        let mut entities = vec![];
        for permission in 0..SERVICES * VERBS {
            for kind in ["Allow", "Deny"] {
                entities
                    .push(Entity::new_no_attrs(uid(&format!("{kind}::\"{permission}\"")), HashSet::new()));
            }
        }
        members(world, &mut entities, |role| {
            let role = &world.roles[role];
            let allowed = (0..SERVICES * VERBS).filter(|permission| role.has(*permission));
            let allowed = allowed.map(|permission| uid(&format!("Allow::\"{permission}\"")));
            allowed.chain(role.denied.map(|permission| uid(&format!("Deny::\"{permission}\"")))).collect()
        });
        let asked: Vec<Context> = (0..SERVICES * VERBS)
            .map(|permission| {
                let value = |kind: &str| {
                    RestrictedExpression::new_entity_uid(uid(&format!("{kind}::\"{permission}\"")))
                };
                Context::from_pairs([
                    ("allow".to_owned(), value("Allow")),
                    ("deny".to_owned(), value("Deny")),
                ])
                .unwrap()
            })
            .collect();
        let action = uid("Action::\"use\"");
        let requests = requests(world, |request| (action.clone(), asked[request.permission].clone()));
        Cedar {
            policies: text.parse().unwrap(),
            entities: Entities::from_entities(entities, None).unwrap(),
            requests,
        }
    })
}

/// Users in groups and roles, groups in roles, roles in what `of_role` says.
fn members(world: &World, entities: &mut Vec<Entity>, of_role: impl Fn(usize) -> HashSet<EntityUid>) {
    let role = |number: usize| uid(&format!("Role::\"{number}\""));
    let group = |number: usize| uid(&format!("Group::\"{number}\""));
    for number in 0..world.roles.len() {
        entities.push(Entity::new_no_attrs(role(number), of_role(number)));
    }
    for (number, bindings) in world.groups.iter().enumerate() {
        let roles = bindings.iter().map(|binding| role(binding.role)).collect();
        entities.push(Entity::new_no_attrs(group(number), roles));
    }
    for (number, user) in world.users.iter().enumerate() {
        let roles = user.bindings.iter().map(|binding| role(binding.role));
        let parents = user.groups.iter().map(|number| group(*number)).chain(roles).collect();
        entities.push(Entity::new_no_attrs(uid(&format!("User::\"{number}\"")), parents));
    }
}

fn requests(world: &World, of: impl Fn(&crate::world::Request) -> (EntityUid, Context)) -> Vec<Request> {
    let resource = uid("Resource::\"it\"");
    let asked = world.requests.iter().take(4_096);
    asked
        .map(|request| {
            let (action, context) = of(request);
            let user = uid(&format!("User::\"{}\"", request.user));
            Request::new(user, action, resource.clone(), context, None).unwrap()
        })
        .collect()
}

fn action(permission: usize) -> String {
    format!("Action::\"{permission}\"")
}

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}
