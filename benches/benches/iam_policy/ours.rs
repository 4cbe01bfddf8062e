//! This workspace's engine.

use core_types::{Grant, Restriction, UnixTime};
use iam_policy::document::DirectoryDocument;
use iam_policy::{AccessRequest, Decision, Directory, PermissionHandle, ScopeHandle, TextRequest};
use serde_json::{Value, json};
use state_store::Revision;

use crate::clock::{Contender, cpu_time, median};
use crate::loaded;
use crate::world::{Role, World};

pub(crate) const DECISION: &str = "ours: ids, permission and scope looked up before";
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

pub(crate) struct Ours {
    pub(crate) directory: Directory,
    everything: Restriction,
    tenant: Restriction,
}

impl Ours {
    /// Compiles the world's records, all of them at once.
    pub(crate) fn load(world: &World) -> Self {
        let document = DirectoryDocument::parse(document(world).to_string().as_bytes()).unwrap();
        let directory = loaded("ours (records to directory)", world.users.len(), || document.directory());
        let tenant = world.scopes[world.homes[0]].parent().unwrap();
        let everything_there = Grant::new("*:*".parse().unwrap(), tenant);
        Self {
            directory,
            everything: Restriction::unrestricted(),
            tenant: Restriction::only([everything_there]).unwrap(),
        }
    }

    /// Permissions and scopes are looked up once, as the floor's are.
    pub(crate) fn decisions<'a>(&'a self, world: &'a World) -> Contender<'a> {
        let handles = Handles::of(&self.directory, world);
        let decide = move |from: usize, count: usize| {
            let mut allowed = 0;
            for number in from..from + count {
                let asked = &world.requests[number % world.requests.len()];
                let (permission, scope) =
                    (&handles.permissions[asked.permission], &handles.scopes[asked.scope]);
                let request = request(world, &self.everything, number).with_handles(permission, scope);
                allowed += usize::from(allows(&self.directory, &request));
            }
            allowed
        };
        Contender { name: DECISION, is_of_strings: false, decide: Box::new(decide), checked: usize::MAX }
    }

    pub(crate) fn by_values<'a>(&'a self, world: &'a World) -> Contender<'a> {
        self.with("ours: ids, permission and scope as values", &self.everything, world)
    }

    pub(crate) fn restricted<'a>(&'a self, world: &'a World) -> Contender<'a> {
        self.with("ours: by a restricted credential", &self.tenant, world)
    }

    /// Principal, permission and scope are read anew for each decision.
    pub(crate) fn by_strings<'a>(&'a self, world: &'a World) -> Contender<'a> {
        let texts = world.requests.iter().map(|request| {
            let (permission, scope) = (&world.permissions[request.permission], &world.scopes[request.scope]);
            [request.principal.to_string(), permission.to_string(), scope.to_string()]
        });
        let texts: Vec<[String; 3]> = texts.collect();
        let decide = move |from: usize, count: usize| {
            let mut allowed = 0;
            for number in from..from + count {
                let [principal, permission, scope] = &texts[number % texts.len()];
                let request = TextRequest::new(principal, &self.everything, permission, scope, NOW);
                let decision = self.directory.at(Revision::ZERO).authorize_texts(&request).unwrap();
                allowed += usize::from(matches!(decision, Decision::Allow(_)));
            }
            allowed
        };
        Contender {
            name: "ours: principal, permission and scope as strings",
            is_of_strings: true,
            decide: Box::new(decide),
            checked: usize::MAX,
        }
    }

    /// All 256 permissions of a user at a place; of many users, so that the clock weighs nothing.
    pub(crate) fn what_can(&self, world: &World) {
        let handles = Handles::of(&self.directory, world);
        let authorizer = self.directory.at(Revision::ZERO);
        let table = authorizer.permissions(&world.permissions);
        let ask = |number: usize| {
            let asked = &world.requests[number % world.requests.len()];
            let request = AccessRequest::new(
                &asked.principal,
                &self.everything,
                &world.permissions[asked.permission],
                &world.scopes[asked.scope],
                NOW,
            );
            request.with_handles(&handles.permissions[asked.permission], &handles.scopes[asked.scope])
        };
        let one_by_one = |number| authorizer.what_can(&ask(number), &world.permissions).count();
        let at_once = |number| authorizer.what_can_of(&ask(number), &table).count();
        let in_patterns = |number| {
            let page = authorizer.what_can_exactly(&ask(number), (None, iam_policy::what::MAX_PAGE));
            page.unwrap().pieces.len()
        };
        for number in 0..200 {
            assert_eq!(at_once(number * 7), one_by_one(number * 7));
        }
        let tell = |name: &str, of: &dyn Fn(usize) -> usize, batch: usize| {
            let mut times: Vec<f64> = (0..21)
                .map(|round| {
                    let start = cpu_time();
                    let sum: usize = (0..batch).map(|number| of((round * batch + number) * 7)).sum();
                    std::hint::black_box(sum);
                    (cpu_time() - start) as f64 / batch as f64
                })
                .collect();
            println!("  {name:54} {:>12.0} ns", median(&mut times));
        };
        tell("ours: what_can of 256 permissions", &one_by_one, 20);
        tell("ours: what_can_of 256, looked up before", &at_once, 200);
        tell("ours: what_can_exactly, in patterns", &in_patterns, 20);
    }

    fn with<'a>(
        &'a self,
        name: &'static str,
        restriction: &'a Restriction,
        world: &'a World,
    ) -> Contender<'a> {
        let decide = move |from: usize, count: usize| {
            let mut allowed = 0;
            for number in from..from + count {
                allowed += usize::from(allows(&self.directory, &request(world, restriction, number)));
            }
            allowed
        };
        Contender { name, is_of_strings: false, decide: Box::new(decide), checked: usize::MAX }
    }
}

/// Everything that requests name, looked up.
struct Handles<'w> {
    permissions: Vec<PermissionHandle<'w>>,
    scopes: Vec<ScopeHandle<'w>>,
}

impl<'w> Handles<'w> {
    fn of(directory: &Directory, world: &'w World) -> Self {
        let authorizer = directory.at(Revision::ZERO);
        Self {
            permissions: world
                .permissions
                .iter()
                .map(|permission| authorizer.permission(permission))
                .collect(),
            scopes: world.scopes.iter().map(|scope| authorizer.scope(scope)).collect(),
        }
    }
}

pub(crate) fn request<'a>(
    world: &'a World,
    restriction: &'a Restriction,
    number: usize,
) -> AccessRequest<'a> {
    let asked = &world.requests[number % world.requests.len()];
    let (permission, scope) = (&world.permissions[asked.permission], &world.scopes[asked.scope]);
    AccessRequest::new(&asked.principal, restriction, permission, scope, NOW)
}

pub(crate) fn allows(directory: &Directory, request: &AccessRequest<'_>) -> bool {
    matches!(directory.at(Revision::ZERO).authorize(request), Decision::Allow(_))
}

fn id(prefix: &str, number: usize) -> String {
    // Crockford's base 32 has all digits, so that a decimal number is one.
    format!("{prefix}_{number:026}")
}

pub(crate) fn document(world: &World) -> Value {
    let patterns = |role: &Role| -> Vec<String> {
        let all = role.is_all.then(|| "*:*".to_owned());
        let services = role.services.iter().map(|service| format!("service{service}:*"));
        let single = role.permissions.iter().map(|number| world.permissions[*number].to_string());
        all.into_iter().chain(services).chain(single).collect()
    };
    let mut bindings = Vec::new();
    let mut bind = |holder: String, binding: &crate::world::Binding| {
        let number = bindings.len();
        bindings.push(json!({"id": id("bnd", number), "role": id("rol", binding.role), "holder": holder,
            "scope": world.scopes[binding.scope], "expires_at": "unlimited"}));
    };
    let mut memberships = Vec::new();
    for (user, own) in world.users.iter().enumerate() {
        let subject = world.ids[user].to_string();
        own.bindings.iter().for_each(|binding| bind(subject.clone(), binding));
        memberships
            .extend(own.groups.iter().map(|group| json!({"group": id("grp", *group), "subject": subject})));
    }
    for (number, group) in world.groups.iter().enumerate() {
        group.iter().for_each(|binding| bind(id("grp", number), binding));
    }
    let denying = || world.roles.iter().enumerate().filter_map(|(number, role)| Some((number, role.denied?)));
    let bounded = world.users.iter().enumerate().filter_map(|(user, own)| Some((user, own.boundary?)));
    json!({
        "version": 1,
        "subjects": world.ids.iter().zip(&world.homes).map(|(id, home)| json!({"id": id.to_string(), "name": "bench",
            "home": world.scopes[*home], "state": "enabled"})).collect::<Vec<_>>(),
        "groups": (0..world.groups.len()).map(|number| json!({"id": id("grp", number), "name": "bench",
            "home": world.scopes[world.homes[0]]})).collect::<Vec<_>>(),
        "roles": world.roles.iter().enumerate().map(|(number, role)| json!({"id": id("rol", number), "name": "bench",
            "home": "/", "permissions": patterns(role), "policies": role.denied.map(|_| id("pol", number)).into_iter()
            .collect::<Vec<_>>()})).collect::<Vec<_>>(),
        "policies": denying().map(|(number, denied)| json!({"id": id("pol", number), "name": "bench", "home": "/",
            "document": {"statements": [{"effect": "deny", "permissions": [world.permissions[denied]],
            "scopes": "unlimited", "conditions": []}]}})).collect::<Vec<_>>(),
        "memberships": memberships,
        "bindings": bindings,
        "boundaries": bounded.map(|(user, service)| json!({"subject": world.ids[user].to_string(), "limit": {"grants":
            {"only": [{"permissions": format!("service{service}:*"), "scope": "/"}]}, "expires_at": "unlimited"}}))
            .collect::<Vec<_>>(),
    })
}
