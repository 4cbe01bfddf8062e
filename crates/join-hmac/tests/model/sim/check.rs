//! What must hold in every state, and that a retry converges from it.

use super::{GUESSES, Known, Sim, Slot, Step};

impl Sim {
    /// What distinguishes this state from others.
    pub(crate) fn label(&self) -> String {
        let mut pool: Vec<&str> = self.pool.iter().map(|(_, label)| label.as_str()).collect();
        pool.sort_unstable();
        let parties: Vec<_> =
            self.parties.iter().map(|party| (&party.label, party.record.is_some())).collect();
        let slots: Vec<_> = self.slots.iter().map(|(_, label)| label).collect();
        let left = (self.crashes, self.flips, self.world.log.len(), self.world.joins.len());
        let left = (left, self.window.guesses_left(), self.by_code);
        format!("{parties:?} {slots:?} {pool:?} {left:?} {:?}", self.wrong)
    }

    /// The invariants.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        for party in &self.parties {
            let Step::Joined(joined) = &party.step else { continue };
            // Both ends are done: they have one cluster, one history, one set of members.
            if joined.store().cluster() != self.honest {
                return Err("a machine joined another cluster".into());
            }
            if self.scenario.middle {
                return Err("a machine joined with somebody in the middle".into());
            }
            let (at_its_epoch, _) = self.world.since(joined.store().epoch());
            if at_its_epoch.state_id() != joined.store().state_id() {
                return Err("a machine and the cluster know different members".into());
            }
            if self.world.store.member(&joined.member()).map(|member| member.entry()) != Some(&party.entry) {
                return Err("a machine believes it joined, and the cluster does not".into());
            }
        }
        // Nobody else is in, and nobody twice.
        let known = self.parties.iter().filter(|party| self.world.store.member(&party.entry.id()).is_some());
        if self.world.store.members().count() != known.count() + 1
            || self.world.log.len() > 1 + self.parties.len()
        {
            return Err("somebody is a member who did not join".into());
        }
        // Runs that did not confirm are guesses, and there are never more of them than there may be.
        if self.window.guesses_left().is_some_and(|left| left > GUESSES) {
            return Err("a guess was given back".into());
        }
        if self.window.half_open() > 8 {
            return Err("there are more half-open sessions than there may be".into());
        }
        Ok(())
    }

    /// With an honest network from now on and a member that was restarted, every machine joins.
    pub(crate) fn converge(mut self) -> Result<(), String> {
        if self.scenario.middle || self.scenario.rogue {
            return Ok(());
        }
        for at in 0..self.parties.len() {
            // Who does not know the code does not join, and keeps nobody else from it.
            if self.scenario.secret == Known::WrongCode && at == 0 {
                continue;
            }
            self.restart();
            if !matches!(self.parties[at].step, Step::Joined(_)) {
                self.pool.clear();
                self.slots[at] = (Slot::Idle, String::new());
                if self.parties[at].record.is_some() {
                    self.resume(at);
                    self.honest_run(at);
                }
            }
            if !matches!(self.parties[at].step, Step::Joined(_)) {
                self.pool.clear();
                self.slots[at] = (Slot::Idle, String::new());
                self.start(at);
                self.honest_run(at);
            }
            if !matches!(self.parties[at].step, Step::Joined(_)) {
                return Err(format!("machine {at} cannot join any more"));
            }
        }
        self.check()
    }

    fn honest_run(&mut self, at: usize) {
        for _ in 0..4 {
            let Some((frame, label)) = self.pool.last().cloned() else { return };
            self.deliver_to_member(at, &frame, &label);
            let Some((frame, label)) = self.pool.last().cloned() else { return };
            self.deliver_to_machine(at, &frame, &label);
        }
    }
}
