//! The state file: who may see it, what is refused, and what is left when a writer is killed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use core_types::{MachineId, SystemRandom};
use tempfile::TempDir;
use wg_keys::error::{RotateError, StateError};
use wg_keys::state::{MAX_STATE_BYTES, Step};
use wg_keys::{MachineState, StateFile};

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("machine.json")
    }

    fn file(&self) -> StateFile {
        StateFile::at(&self.path()).unwrap()
    }

    fn with_state() -> (Self, MachineState) {
        let place = Self::new();
        let state = fresh();
        place.file().create(&state, &SystemRandom::new()).unwrap();
        (place, state)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn fresh() -> MachineState {
    let machine: MachineId = "mch_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".parse().unwrap();
    MachineState::generate(machine, 51820, &SystemRandom::new()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn same(one: &MachineState, other: &MachineState) -> bool {
    let keys = |state: &MachineState| {
        [Some(state.current()), state.pending(), state.previous()]
            .map(|key| key.map(|key| *key.expose_secret()))
    };
    one.machine() == other.machine()
        && one.epoch() == other.epoch()
        && one.listen_port() == other.listen_port()
        && one.identity_public() == other.identity_public()
        && keys(one) == keys(other)
}

#[test]
fn what_is_written_is_read_and_only_the_owner_may_read_it() {
    let (place, state) = Place::with_state();
    assert_eq!(mode(&place.path()), 0o600);
    assert!(same(&place.file().load().unwrap(), &state));
    assert_eq!(place.names(), ["machine.json"]);
}

#[test]
fn a_rotation_has_three_steps_in_one_order() {
    let (place, state) = Place::with_state();
    let (mut file, rng) = (place.file(), SystemRandom::new());
    let refused = |result: Result<(), StateError>| match result {
        Err(StateError::Rotate(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(file.update(&rng, |state| state.activate().map(drop))), RotateError::NothingPending);
    assert_eq!(refused(file.update(&rng, MachineState::finish)), RotateError::NothingToFinish);
    assert_eq!(refused(file.update(&rng, MachineState::abort)), RotateError::NothingPending);
    let pending = file.update(&rng, |state| state.prepare(&rng)).unwrap();
    let loaded = file.load().unwrap();
    assert_eq!((loaded.epoch(), loaded.pending().unwrap().public_key()), (1, pending));
    assert!(loaded.current().ct_eq(state.current()));
    assert_eq!(refused(file.update(&rng, |state| state.prepare(&rng).map(drop))), RotateError::Pending);
    assert_eq!(file.update(&rng, MachineState::activate).unwrap(), pending);
    let loaded = file.load().unwrap();
    assert_eq!((loaded.epoch(), loaded.current().public_key()), (2, pending));
    assert!(loaded.previous().unwrap().ct_eq(state.current()), "the old key is kept");
    assert_eq!(refused(file.update(&rng, |state| state.prepare(&rng).map(drop))), RotateError::PreviousKept);
    file.update(&rng, MachineState::finish).unwrap();
    let text = fs::read_to_string(place.path()).unwrap();
    assert!(!text.contains(state.current().expose_text().expose_secret()), "the old key is gone");
    file.update(&rng, |state| state.prepare(&rng)).unwrap();
    file.update(&rng, MachineState::abort).unwrap();
    let loaded = file.load().unwrap();
    assert!(loaded.pending().is_none() && loaded.epoch() == 2 && loaded.current().public_key() == pending);
    assert_eq!(loaded.identity_public(), state.identity_public(), "the identity outlives every key");
}

#[test]
fn a_state_that_is_there_is_never_overwritten() {
    let (place, state) = Place::with_state();
    assert!(matches!(place.file().create(&fresh(), &SystemRandom::new()), Err(StateError::Exists)));
    assert!(same(&place.file().load().unwrap(), &state));
    let place = Place::new();
    symlink("/dev/null", place.path()).unwrap();
    assert!(matches!(place.file().create(&fresh(), &SystemRandom::new()), Err(StateError::Exists)));
}

#[test]
fn what_appears_while_a_state_is_made_is_not_overwritten() {
    let place = Place::new();
    let path = place.path();
    let outcome = place.file().create_observed(&fresh(), &SystemRandom::new(), &mut |step| {
        if step == Step::Synced {
            fs::write(&path, "somebody was faster").unwrap();
        }
    });
    assert!(matches!(outcome, Err(StateError::Exists)));
    assert_eq!(fs::read_to_string(place.path()).unwrap(), "somebody was faster");
    assert_eq!(place.names(), ["machine.json"], "nothing with a key in it is left");
}

#[test]
fn a_wider_mode_is_refused() {
    let (place, _) = Place::with_state();
    for wide in [0o640, 0o604, 0o660, 0o601, 0o610, 0o700, 0o4600] {
        fs::set_permissions(place.path(), Permissions::from_mode(wide)).unwrap();
        assert!(
            matches!(place.file().load(), Err(StateError::FileMode { mode }) if mode == wide),
            "{wide:o}"
        );
        assert!(place.file().update(&SystemRandom::new(), MachineState::abort).is_err());
    }
    fs::set_permissions(place.path(), Permissions::from_mode(0o400)).unwrap();
    assert!(place.file().load().is_ok());
    for wide in [0o755, 0o750, 0o701, 0o710, 0o1777] {
        fs::set_permissions(place.dir.path(), Permissions::from_mode(wide)).unwrap();
        assert!(matches!(StateFile::at(&place.path()), Err(StateError::FolderMode { mode }) if mode == wide));
    }
}

#[test]
fn what_is_no_regular_file_or_reached_through_a_link_is_refused() {
    let (place, _) = Place::with_state();
    let elsewhere = Place::new();
    symlink(place.path(), elsewhere.path()).unwrap();
    assert!(matches!(elsewhere.file().load(), Err(StateError::NotAFile)));
    assert!(elsewhere.file().update(&SystemRandom::new(), MachineState::abort).is_err());
    let link = elsewhere.dir.path().join("folder");
    symlink(place.dir.path(), &link).unwrap();
    assert!(matches!(StateFile::at(&link.join("machine.json")), Err(StateError::NotAFolder)));
    assert!(matches!(StateFile::at(&place.path().join("machine.json")), Err(StateError::NotAFolder)));
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    assert!(matches!(place.file().load(), Err(StateError::NotAFile)));
    let place = Place::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(matches!(place.file().load(), Err(StateError::NotAFile)), "and it does not wait for a writer");
    let place = Place::new();
    let _socket = std::os::unix::net::UnixListener::bind(place.path()).unwrap();
    assert!(matches!(place.file().load(), Err(StateError::NotAFile)));
}

#[test]
fn a_file_or_a_folder_of_somebody_else_is_refused() {
    // Only root may give a file away; where nobody is root, the system's own files are somebody else's.
    if rustix::process::geteuid().is_root() {
        let (place, _) = Place::with_state();
        std::os::unix::fs::chown(place.path(), Some(65534), None).unwrap();
        assert!(matches!(place.file().load(), Err(StateError::Owner { uid: 65534 })));
        std::os::unix::fs::chown(place.dir.path(), Some(65534), None).unwrap();
        assert!(matches!(StateFile::at(&place.path()), Err(StateError::Owner { uid: 65534 })));
    } else {
        assert!(matches!(StateFile::at(Path::new("/etc/machine.json")), Err(StateError::Owner { uid: 0 })));
    }
}

#[test]
fn a_folder_that_is_exchanged_under_a_writer_is_not_written_to() {
    let (place, state) = Place::with_state();
    let mut file = place.file();
    let aside = place.dir.path().with_extension("aside");
    let trap = Place::new();
    let original = place.dir.path().to_owned();
    let pending = file
        .update_observed(&SystemRandom::new(), |state| state.prepare(&SystemRandom::new()), &mut |step| {
            if step == Step::Created {
                fs::rename(&original, &aside).unwrap();
                symlink(trap.dir.path(), &original).unwrap();
            }
        })
        .unwrap();
    assert!(trap.names().is_empty(), "nothing was written through the link");
    fs::remove_file(&original).unwrap();
    fs::rename(&aside, &original).unwrap();
    let loaded = place.file().load().unwrap();
    assert_eq!(loaded.pending().unwrap().public_key(), pending);
    assert!(loaded.current().ct_eq(state.current()));
}

#[test]
fn a_link_in_the_place_of_the_temporary_file_is_not_written_through() {
    let (place, _) = Place::with_state();
    let victim = place.dir.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, place.dir.path().join(".machine.json.new")).unwrap();
    place.file().update(&SystemRandom::new(), |state| state.prepare(&SystemRandom::new())).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(place.names(), ["machine.json", "victim"]);
}

#[test]
fn a_document_that_is_not_of_the_form_is_refused() {
    let (place, state) = Place::with_state();
    let good = fs::read_to_string(place.path()).unwrap();
    let current = state.current().expose_text().expose_secret().to_owned();
    let bad = [
        String::new(),
        "{}".to_owned(),
        good.replace("\"version\": 1", "\"version\": 2"),
        good.replace("palisade-wg-machine", "palisade-wg-machines"),
        good.replace("\"epoch\": 1", "\"epoch\": 0"),
        good.replace("\"epoch\": 1", "\"epoch\": -1"),
        good.replace("\"epoch\": 1", "\"epoch\": 1.0"),
        good.replace("\"epoch\": 1", "\"epoch\": 9007199254740992"),
        good.replace("\"epoch\": 1", "\"epoch\": 1, \"epoch\": 2"),
        good.replace("51820", "0"),
        good.replace("51820", "65536"),
        good.replace("\"previous\": null", "\"previous\": null, \"more\": 1"),
        good.replace(",\n  \"previous\": null", ""),
        good.replace("\"pending\": null", &format!("\"pending\": \"{current}\"")),
        good.replace("\"pending\": null", "\"pending\": \"AAAA\""),
        good.replace("mch_", "usr_"),
        good.replace(&current, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        format!("{good}{good}"),
    ];
    for text in bad {
        assert_ne!(text, good);
        fs::write(place.path(), &text).unwrap();
        assert!(matches!(place.file().load(), Err(StateError::Damaged { .. })), "{text}");
    }
    for len in 0..good.len() - 2 {
        fs::write(place.path(), &good.as_bytes()[..len]).unwrap();
        assert!(matches!(place.file().load(), Err(StateError::Damaged { .. })), "cut at {len}");
    }
    fs::write(place.path(), [0xff, 0xfe]).unwrap();
    assert!(matches!(place.file().load(), Err(StateError::Damaged { .. })));
    fs::write(place.path(), " ".repeat(MAX_STATE_BYTES + 1)).unwrap();
    assert!(matches!(place.file().load(), Err(StateError::TooLarge)));
    fs::remove_file(place.path()).unwrap();
    assert!(matches!(place.file().load(), Err(StateError::Missing)));
}

#[test]
fn writers_wait_for_each_other() {
    let (place, _) = Place::with_state();
    let rounds = 25;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (mut file, rng) = (place.file(), SystemRandom::new());
                for _ in 0..rounds {
                    let rotated = file.update(&rng, |state| {
                        state.prepare(&rng)?;
                        state.activate()?;
                        state.finish()
                    });
                    rotated.unwrap();
                }
            });
        }
    });
    assert_eq!(place.file().load().unwrap().epoch(), 1 + 4 * rounds);
}

const STEPS: [Step; 5] = [Step::Created, Step::Written, Step::Synced, Step::Renamed, Step::Durable];

/// Runs in a process of its own, which the test below starts: prepares a key, and is killed after a step.
#[test]
fn a_writer_that_is_killed_leaves_the_old_state_or_the_new_one() {
    if let Ok(job) = std::env::var("WG_KEYS_KILLED_AFTER") {
        return killed(&job);
    }
    for (number, step) in STEPS.into_iter().enumerate() {
        for verb in ["create", "prepare"] {
            let (place, old) = if verb == "create" { (Place::new(), fresh()) } else { Place::with_state() };
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "a_writer_that_is_killed_leaves_the_old_state_or_the_new_one"])
                .env("WG_KEYS_KILLED_AFTER", format!("{verb} {number} {}", place.path().display()))
                .output()
                .unwrap()
                .status;
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
            let is_new = step == Step::Renamed || step == Step::Durable;
            match (place.file().load(), verb) {
                (Ok(state), "prepare") => {
                    assert_eq!(state.pending().is_some(), is_new, "{step:?}");
                    assert!(state.current().ct_eq(old.current()));
                }
                (loaded, _) => match loaded {
                    Ok(_) => assert!(is_new, "{step:?}"),
                    Err(StateError::Missing) => assert!(!is_new, "{step:?}"),
                    Err(error) => panic!("{step:?}: {error}"),
                },
            }
            // The next writer goes on, and what the killed one left is gone.
            let rng = SystemRandom::new();
            if place.file().load().is_err() {
                place.file().create(&old, &rng).unwrap();
            }
            place
                .file()
                .update(&rng, |state| {
                    if is_new && verb == "prepare" { state.abort() } else { state.prepare(&rng).map(drop) }
                })
                .unwrap();
            assert_eq!(place.names(), ["machine.json"]);
        }
    }
}

fn killed(job: &str) {
    let [verb, number, path] = job.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{job}") };
    let last: Step = *STEPS.get(number.parse::<usize>().unwrap()).unwrap();
    let rng = SystemRandom::new();
    let mut kill = |step| {
        if step == last {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    };
    let mut file = StateFile::at(Path::new(path)).unwrap();
    if verb == "create" {
        file.create_observed(&fresh(), &rng, &mut kill).unwrap();
    } else {
        file.update_observed(&rng, |state| state.prepare(&rng), &mut kill).unwrap();
    }
    panic!("was not killed");
}
