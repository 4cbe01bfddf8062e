//! Worlds in plain terms, and what is allowed in them by a naive reading.

use core_types::testing::TestRandom;
use core_types::{Permission, Principal, Scope, SecureRandom, Subject, UserId};

pub(crate) const SERVICES: usize = 32;
pub(crate) const VERBS: usize = 8;
const REQUESTS: usize = 1 << 16;

/// What a role gives: numbers of permissions, whole services, everything; and what it denies.
#[derive(Clone, Default)]
pub(crate) struct Role {
    pub(crate) permissions: Vec<usize>,
    pub(crate) services: Vec<usize>,
    pub(crate) is_all: bool,
    pub(crate) denied: Option<usize>,
}

/// A role at a scope.
#[derive(Clone)]
pub(crate) struct Binding {
    pub(crate) role: usize,
    pub(crate) scope: usize,
}

#[derive(Clone, Default)]
pub(crate) struct User {
    pub(crate) groups: Vec<usize>,
    pub(crate) bindings: Vec<Binding>,
    /// The one service it may use at most.
    pub(crate) boundary: Option<usize>,
}

pub(crate) struct Request {
    pub(crate) user: usize,
    pub(crate) permission: usize,
    pub(crate) scope: usize,
    pub(crate) principal: Principal,
}

pub(crate) struct World {
    pub(crate) permissions: Vec<Permission>,
    pub(crate) roles: Vec<Role>,
    pub(crate) groups: Vec<Vec<Binding>>,
    pub(crate) users: Vec<User>,
    /// The tenant of each user.
    pub(crate) homes: Vec<usize>,
    pub(crate) ids: Vec<UserId>,
    pub(crate) scopes: Vec<Scope>,
    /// The scope itself and those above, the root last, by number.
    pub(crate) chains: Vec<Vec<usize>>,
    pub(crate) requests: Vec<Request>,
    pub(crate) answers: Vec<bool>,
}

impl Role {
    pub(crate) fn has(&self, permission: usize) -> bool {
        self.is_all || self.permissions.contains(&permission) || self.services.contains(&(permission / VERBS))
    }
}

/// Numbers below a bound.
struct Dice(TestRandom);

impl Dice {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        (u64::from_le_bytes(bytes) % bound as u64) as usize
    }
}

impl World {
    /// Everything is bound at one tenant.
    pub(crate) fn flat(users: usize, groups: usize, roles: usize) -> Self {
        let dice = Dice(TestRandom::seeded(users as u64 + roles as u64));
        let mut world = Self::empty(roles, &dice);
        let home = world.scope("org/acme");
        let bind = |dice: &Dice| Binding { role: dice.below(roles), scope: home };
        world.groups = (0..groups).map(|_| (0..=dice.below(4)).map(|_| bind(&dice)).collect()).collect();
        for _ in 0..users {
            let groups =
                (0..=dice.below(3)).map(|_| dice.below(groups)).collect::<std::collections::BTreeSet<_>>();
            let bindings = (dice.below(10) < 3).then(|| bind(&dice)).into_iter().collect();
            world.user(User { groups: groups.into_iter().collect(), bindings, boundary: None }, home, &dice);
        }
        let leaves: Vec<usize> = (0..1_000)
            .map(|number| world.scope(&format!("org/acme/project/p{}/vm/v{number}", number % 50)))
            .collect();
        world.ask(&dice, |_, dice| leaves[dice.below(leaves.len())]);
        world
    }

    /// Tenants, projects and resources, with bindings at any of these levels.
    pub(crate) fn scoped(tenants: usize, projects: usize, users_each: usize, roles: usize) -> Self {
        let dice = Dice(TestRandom::seeded(4));
        let mut world = Self::empty(roles, &dice);
        for role in &mut world.roles {
            role.denied = None;
        }
        // Fifty of the roles deny what they would give.
        let denying: Vec<usize> = (0..50).map(|number| roles + number).collect();
        for _ in &denying {
            let denied = Some(dice.below(SERVICES * VERBS));
            world.roles.push(Role { denied, ..Role::default() });
        }
        let mut places = Vec::new();
        for tenant in 0..tenants {
            let home = world.scope(&format!("org/t{tenant}"));
            let mut below = Vec::new();
            for project in 0..projects {
                let project = format!("org/t{tenant}/project/p{project}");
                let leaf = world.scope(&format!("{project}/vm/v"));
                below.push((world.scope(&project), leaf));
            }
            places.push((home, below));
        }
        for number in 0..tenants * users_each {
            let (home, below) = &places[number % tenants];
            let bindings = (0..3).map(|_| {
                let (project, leaf) = below[dice.below(below.len())];
                let scope = [*home, project, leaf][dice.below(3)];
                let role = if dice.below(50) == 0 { denying[dice.below(50)] } else { dice.below(roles) };
                Binding { role, scope }
            });
            let bindings = bindings.collect();
            let boundary = (dice.below(10) == 0).then(|| dice.below(SERVICES));
            world.user(User { groups: Vec::new(), bindings, boundary }, *home, &dice);
        }
        // Half at a place where something is bound, half anywhere in the tenant.
        let bound: Vec<Vec<usize>> = world
            .users
            .iter()
            .map(|user| user.bindings.iter().map(|binding| binding.scope).collect())
            .collect();
        world.ask(&dice, |user, dice| match dice.below(2) {
            0 => bound[user][dice.below(bound[user].len())],
            _ => places[user % tenants].1[dice.below(projects)].1,
        });
        world
    }

    pub(crate) fn allowed(&self) -> usize {
        self.answers.iter().filter(|allowed| **allowed).count()
    }

    /// All bindings of the user, its groups' too.
    pub(crate) fn bindings(&self, user: usize) -> impl Iterator<Item = &Binding> {
        let own = self.users[user].bindings.iter();
        own.chain(self.users[user].groups.iter().flat_map(|group| self.groups[*group].iter()))
    }

    fn empty(roles: usize, dice: &Dice) -> Self {
        let permissions = (0..SERVICES * VERBS)
            .map(|number| format!("service{}:verb{}", number / VERBS, number % VERBS).parse().unwrap());
        let role = |number: usize| {
            let mut role = Role { is_all: number % 200 == 199, ..Role::default() };
            for _ in 0..8 {
                if dice.below(100) < 12 {
                    role.services.push(dice.below(SERVICES));
                } else {
                    role.permissions.push(dice.below(SERVICES * VERBS));
                }
            }
            role.denied = (dice.below(10) == 0).then(|| dice.below(SERVICES * VERBS));
            role
        };
        Self {
            permissions: permissions.collect(),
            roles: (0..roles).map(role).collect(),
            groups: Vec::new(),
            users: Vec::new(),
            homes: Vec::new(),
            ids: Vec::new(),
            scopes: vec![Scope::root()],
            chains: vec![vec![0]],
            requests: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn user(&mut self, user: User, home: usize, dice: &Dice) {
        let mut bytes = [0; 16];
        dice.0.fill(&mut bytes).unwrap();
        self.ids.push(UserId::from_bytes(bytes));
        self.users.push(user);
        self.homes.push(home);
    }

    /// The number of the scope; those above it have one too.
    fn scope(&mut self, text: &str) -> usize {
        let scope: Scope = text.parse().unwrap();
        if let Some(number) = self.scopes.iter().rposition(|known| *known == scope) {
            return number;
        }
        let parent = scope.parent().map_or("/".to_owned(), |parent| parent.to_string());
        let parent = self.scope(&parent);
        let number = self.scopes.len();
        self.chains.push([number].into_iter().chain(self.chains[parent].iter().copied()).collect());
        self.scopes.push(scope);
        number
    }

    fn ask(&mut self, dice: &Dice, place: impl Fn(usize, &Dice) -> usize) {
        for _ in 0..REQUESTS {
            let user = dice.below(self.users.len());
            let (permission, scope) = (dice.below(SERVICES * VERBS), place(user, dice));
            let principal = Principal::subject(Subject::User(self.ids[user]));
            let counting =
                || self.bindings(user).filter(|binding| self.chains[scope].contains(&binding.scope));
            let allowed = counting().any(|binding| self.roles[binding.role].has(permission));
            let denied = counting().any(|binding| self.roles[binding.role].denied == Some(permission));
            let within = self.users[user].boundary.is_none_or(|service| service == permission / VERBS);
            self.answers.push(allowed && !denied && within);
            self.requests.push(Request { user, permission, scope, principal });
        }
    }
}
