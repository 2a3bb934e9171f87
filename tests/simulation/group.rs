//! The consumer group: members, generations and eager rebalances, as a Kafka coordinator keeps
//! them.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// One consumer of one process.
#[derive(Debug)]
struct Member {
    process: usize,
    owned: Vec<i32>,
    /// What the generation gave it. Offsets of these are taken until the next one begins, also
    /// from a member that has given them up.
    given: Vec<i32>,
    /// Has answered the rebalance that is under way.
    rejoined: bool,
    /// An assignment that it has not heard of yet.
    news: Option<Vec<i32>>,
}

/// Who commits: a member as of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    pub member: u64,
    pub generation: u64,
}

/// What a member learns when it asks.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// All partitions are to be given up.
    Revoked,
    Assigned(Vec<i32>, Membership),
    /// Thrown out: it must join anew.
    Unknown,
}

#[derive(Debug, Default)]
pub struct Group {
    partitions: Vec<i32>,
    members: BTreeMap<u64, Member>,
    generation: u64,
    /// A rebalance is under way, with this number.
    joining: Option<u64>,
    next: u64,
    pub rebalances: u64,
}

impl Group {
    pub fn new(partition_count: u32) -> Self {
        Self { partitions: (0..partition_count as i32).collect(), ..Self::default() }
    }

    pub fn join(&mut self, process: usize) -> u64 {
        self.next += 1;
        let (owned, given) = (Vec::new(), Vec::new());
        let member = Member { process, owned, given, rejoined: true, news: None };
        self.members.insert(self.next, member);
        self.rebalance();
        self.members.get_mut(&self.next).expect("just joined").rejoined = true;
        self.next
    }

    /// Leaves, or is thrown out; harmless for who is gone already.
    pub fn remove(&mut self, member: u64) {
        if self.members.remove(&member).is_some() {
            self.rebalance();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn members_of(&self, process: usize) -> Vec<u64> {
        let of = self.members.iter().filter(|(_, member)| member.process == process);
        of.map(|(id, _)| *id).collect()
    }

    /// Asks every member to give up its partitions and to join again.
    pub fn rebalance(&mut self) {
        if self.joining.is_some() {
            return;
        }
        self.rebalances += 1;
        self.joining = Some(self.rebalances);
        for member in self.members.values_mut() {
            member.rejoined = false;
            member.news = None;
        }
    }

    /// The rebalance under way, for its time-out.
    pub fn joining(&self) -> Option<u64> {
        self.joining
    }

    /// Whoever has not answered rebalance `number` by now is out.
    pub fn expire(&mut self, number: u64, random: &mut ChaCha8Rng) {
        if self.joining == Some(number) {
            self.members.retain(|_, member| member.rejoined);
            self.complete(random);
        }
    }

    /// What a member learns at a poll; it answers a rebalance there.
    pub fn serve(&mut self, id: u64, random: &mut ChaCha8Rng) -> News {
        let Some(member) = self.members.get_mut(&id) else { return News::Unknown };
        let must_answer = self.joining.is_some() && !member.rejoined;
        if must_answer {
            member.rejoined = true;
            let owned = std::mem::take(&mut member.owned);
            self.complete(random);
            return if owned.is_empty() { News::Nothing } else { News::Revoked };
        }
        self.complete(random);
        let generation = self.generation;
        let member = self.members.get_mut(&id).expect("nobody leaves by completing");
        match member.news.take() {
            Some(assignment) => {
                member.owned.clone_from(&assignment);
                News::Assigned(assignment, Membership { member: id, generation })
            }
            None => News::Nothing,
        }
    }

    fn complete(&mut self, random: &mut ChaCha8Rng) {
        if self.joining.is_none() || !self.members.values().all(|member| member.rejoined) {
            return;
        }
        self.joining = None;
        self.generation += 1;
        let mut partitions = self.partitions.clone();
        partitions.shuffle(random);
        let count = self.members.len();
        for (index, member) in self.members.values_mut().enumerate() {
            let mut own: Vec<i32> = partitions.iter().skip(index).step_by(count).copied().collect();
            own.sort_unstable();
            member.given.clone_from(&own);
            member.news = Some(own);
        }
    }

    /// Offsets are taken from a member of the current generation only.
    pub fn is_current(&self, membership: Membership) -> bool {
        self.generation == membership.generation && self.members.contains_key(&membership.member)
    }

    /// Whether all of these are the member's as of now.
    pub fn owns(&self, membership: Membership, partitions: impl Iterator<Item = i32>) -> bool {
        let member = self.members.get(&membership.member);
        let given = member.map(|member| member.given.as_slice()).unwrap_or_default();
        self.is_current(membership) && partitions.into_iter().all(|one| given.contains(&one))
    }
}
