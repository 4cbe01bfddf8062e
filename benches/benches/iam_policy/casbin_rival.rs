//! casbin, with the matcher of its examples, and with one that compares what is cheap first.

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};

use crate::clock::Contender;
use crate::loaded;
use crate::world::{VERBS, World};

pub(crate) struct Casbin {
    enforcer: Enforcer,
}

const IDIOMATIC: &str = "g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && keyMatch(r.act, p.act)";
const EXPERT: &str =
    "(p.obj == \"*\" || r.obj == p.obj) && (p.act == \"*\" || r.act == p.act) && g(r.sub, p.sub)";

pub(crate) fn load(world: &World, is_idiomatic: bool) -> Casbin {
    let (name, matcher) =
        if is_idiomatic { ("casbin, idiomatic", IDIOMATIC) } else { ("casbin, expert", EXPERT) };
    let text = format!(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act, eft\n\
         [role_definition]\ng = _, _\n[policy_effect]\n\
         e = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n[matchers]\nm = {matcher}\n"
    );
    loaded(name, world.users.len(), || {
        pollster::block_on(async {
            let model = DefaultModel::from_str(&text).await.unwrap();
            let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await.unwrap();
            enforcer.add_policies(rules(world)).await.unwrap();
            enforcer.add_grouping_policies(links(world)).await.unwrap();
            Casbin { enforcer }
        })
    })
}

impl Casbin {
    pub(crate) fn contender<'a>(&'a self, name: &'static str, world: &'a World) -> Contender<'a> {
        let decide = move |from: usize, count: usize| {
            let mut allowed = 0;
            for number in from..from + count {
                let request = &world.requests[number % world.requests.len()];
                let (service, verb) = names(request.permission);
                let asked = (format!("u{}", request.user), service, verb);
                allowed += usize::from(self.enforcer.enforce(asked).unwrap());
            }
            allowed
        };
        let checked = (200_000 / (world.roles.len() * 9)).clamp(4, 512);
        Contender { name, is_of_strings: false, decide: Box::new(decide), checked }
    }
}

fn names(permission: usize) -> (String, String) {
    (format!("service{}", permission / VERBS), format!("verb{}", permission % VERBS))
}

fn rules(world: &World) -> Vec<Vec<String>> {
    let mut rules = std::collections::BTreeSet::new();
    for (number, role) in world.roles.iter().enumerate() {
        let mut add = |(object, action): (String, String), effect: &str| {
            rules.insert(vec![format!("r{number}"), object, action, effect.to_owned()]);
        };
        if role.is_all {
            add(("*".to_owned(), "*".to_owned()), "allow");
        }
        role.services.iter().for_each(|service| add((format!("service{service}"), "*".to_owned()), "allow"));
        role.permissions.iter().for_each(|permission| add(names(*permission), "allow"));
        role.denied.iter().for_each(|permission| add(names(*permission), "deny"));
    }
    rules.into_iter().collect()
}

fn links(world: &World) -> Vec<Vec<String>> {
    let mut links = std::collections::BTreeSet::new();
    for (number, user) in world.users.iter().enumerate() {
        let groups = user.groups.iter().map(|group| format!("g{group}"));
        let roles = user.bindings.iter().map(|binding| format!("r{}", binding.role));
        links.extend(groups.chain(roles).map(|role| vec![format!("u{number}"), role]));
    }
    for (number, bindings) in world.groups.iter().enumerate() {
        links.extend(bindings.iter().map(|binding| vec![format!("g{number}"), format!("r{}", binding.role)]));
    }
    links.into_iter().collect()
}
