//! The processes of a run and what is done to them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::harness::World;
use crate::harness::process::Process;
use crate::transactions;

/// Members of the group when nothing is wrong.
pub const MEMBERS: usize = 3;
/// After so long without a heartbeat a member is out; its open transaction ends before that.
pub const SESSION_MS: u64 = 4_000;
const TRANSACTION_MS: u64 = 3_000;
const DRAIN_MS: u64 = 2_500;
/// Exit code of a process that finds a server absent when it starts.
const ABSENT: i32 = 3;
/// To find a process in the middle of a transaction, Kafka is asked for at most so long: also while
/// a server comes back, without which there are no transactions.
const AIM_FOR: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    StreamKilled,
    StreamPaused,
    ProducerKilled,
    KafkaKilled,
    CassandraKilled,
    MemberLeaves,
    MemberJoins,
}

impl Fault {
    /// How often each comes in nine faults.
    const MIX: [(Fault, usize); 7] = [
        (Self::StreamKilled, 3),
        (Self::StreamPaused, 1),
        (Self::ProducerKilled, 1),
        (Self::KafkaKilled, 1),
        (Self::CassandraKilled, 1),
        (Self::MemberLeaves, 1),
        (Self::MemberJoins, 1),
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::StreamKilled => "kill -9 of a stream process",
            Self::StreamPaused => "SIGSTOP of a stream process, beyond its session",
            Self::ProducerKilled => "kill -9 of the producer",
            Self::KafkaKilled => "kill -9 of Kafka",
            Self::CassandraKilled => "kill -9 of Cassandra",
            Self::MemberLeaves => "SIGTERM of a stream process",
            Self::MemberJoins => "one more stream process",
        }
    }

    /// So many, in the mix above, in any order.
    pub fn draw(count: usize, random: &mut ChaCha8Rng) -> Vec<Fault> {
        let nine = Self::MIX.iter().flat_map(|(fault, times)| vec![*fault; *times]);
        let nine: Vec<Fault> = nine.collect();
        let mut drawn = Vec::new();
        while drawn.len() < count {
            let mut some = nine.clone();
            some.shuffle(random);
            drawn.extend(some);
        }
        drawn.truncate(count);
        drawn
    }
}

/// What was done.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    pub fault: Fault,
    /// Kafka said after it that the transaction of the process was open.
    pub in_transaction: bool,
}

/// What has to be put right again, and when.
enum Repair {
    StartMember,
    /// A paused process, by its pid.
    Resume(u32),
    StartProducer,
    StartServer(&'static str),
}

struct Member {
    process: Process,
    is_paused: bool,
}

impl Member {
    /// As it says in its log when its session is open.
    fn transactional_id(&self) -> Option<String> {
        let said = self.process.said();
        let (_, rest) = said.rsplit_once("transactional_id=")?;
        let id: String = rest.chars().take_while(|one| !one.is_whitespace()).collect();
        Some(id.trim_matches('"').to_owned())
    }
}

pub struct Run {
    pub world: World,
    pub random: ChaCha8Rng,
    kafka: String,
    url: String,
    symbols: String,
    members: Vec<Member>,
    producer: Option<Process>,
    repairs: Vec<(Instant, Repair)>,
    /// Servers that are down, with the command that starts them once it runs.
    down: Vec<(&'static str, Option<Child>)>,
    /// Members at the front of the list that nothing happens to.
    spared: usize,
    pub done: Vec<Done>,
}

/// A world with short sessions, small beats and three kinds of bars.
pub fn world(name: &str) -> World {
    let mut world = World::new(name);
    world.set("KAFKA__SESSION_TIMEOUT_MS", &SESSION_MS.to_string());
    // A group of which a broker remembers dead members waits for them so long.
    world.set("KAFKA__MAX_POLL_INTERVAL_MS", &(2 * SESSION_MS).to_string());
    world.set("KAFKA__TRANSACTION_TIMEOUT_MS", &TRANSACTION_MS.to_string());
    world.set("STREAM__DRAIN_DEADLINE_MS", &DRAIN_MS.to_string());
    world.set("STREAM__INTERVALS", &crate::oracle::INTERVALS.map(|one| one.0).join(","));
    world.set("STREAM__ALLOWED_LATENESS_MS", &crate::oracle::LATENESS_MS.to_string());
    // Many transactions, also in a backlog: a kill finds one that is open.
    world.set("STREAM__BEAT_RECORDS", "5000");
    world.set("STREAM__BATCH_RECORDS", "2500");
    world.set("STREAM__HTTP_PORT", "0");
    world.set("PRODUCER__HTTP_PORT", "0");
    world.succeed(&["topics"]);
    world.succeed(&["cassandra-init"]);
    world
}

impl Run {
    pub fn start(world: World, url: &str, symbols: &[String], seed: u64) -> Self {
        let kafka = world.setting("KAFKA__BOOTSTRAP").to_owned();
        let mut run = Self {
            kafka,
            url: url.to_owned(),
            symbols: symbols.join(","),
            world,
            random: ChaCha8Rng::seed_from_u64(seed),
            members: Vec::new(),
            producer: None,
            repairs: Vec::new(),
            down: Vec::new(),
            spared: 0,
            done: Vec::new(),
        };
        (0..MEMBERS).for_each(|_| run.start_member());
        run.start_producer();
        run
    }

    /// Pids of our processes by role.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let streams = self.members.iter().map(|member| ("stream", member.process.id()));
        streams.chain(self.producer.iter().map(|one| ("producer", one.id()))).collect()
    }

    fn start_member(&mut self) {
        let process = self.world.start(&["stream"]);
        self.members.push(Member { process, is_paused: false });
    }

    fn start_producer(&mut self) {
        let arguments = ["producer", "--url", &self.url, "--symbols", &self.symbols];
        self.producer = Some(self.world.start(&arguments));
    }

    /// One stream process and the producer live on, so that their memory can be watched.
    pub fn spare_the_first(&mut self) {
        self.spared = 1;
    }

    /// Not of Cassandra: in the soak it writes its commit log as shipped, and a single node that is
    /// killed then forgets rows that it has acknowledged.
    pub fn draw_for_soak(&mut self) -> Fault {
        use Fault::{KafkaKilled, StreamKilled, StreamPaused};
        let mix = [StreamKilled, StreamKilled, StreamKilled, StreamPaused, KafkaKilled];
        *mix.choose(&mut self.random).expect("there are some")
    }

    pub fn until_next_fault(&mut self) -> Duration {
        Duration::from_secs(self.random.random_range(30..60))
    }

    /// Records that the group has not committed; `None` while Kafka is away.
    pub fn lag(&self) -> Option<i64> {
        let is_away = self.down.iter().any(|(server, _)| *server == "kafka");
        if is_away { None } else { self.world.observer().lag().ok() }
    }

    /// Lets the time pass, and puts right what is due.
    pub fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            self.repair(false);
            self.look_after();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Does it at once, whatever else is wrong at the moment.
    pub fn inflict(&mut self, fault: Fault) {
        let in_transaction = match fault {
            Fault::StreamKilled => self.kill_member(),
            Fault::StreamPaused => self.pause_member(),
            Fault::ProducerKilled => self.kill_producer(),
            Fault::KafkaKilled => self.kill_server("kafka"),
            Fault::CassandraKilled => self.kill_server("cassandra"),
            Fault::MemberLeaves => self.stop_member(),
            Fault::MemberJoins => {
                self.start_member();
                false
            }
        };
        self.done.push(Done { fault, in_transaction });
    }

    fn later(&mut self, at_least_ms: u64, repair: Repair) {
        let wait_ms = at_least_ms + self.random.random_range(0..3_000);
        self.repairs.push((Instant::now() + Duration::from_millis(wait_ms), repair));
    }

    /// A member that runs, taken while its transaction is open, nine times in ten.
    fn choose_member(&mut self) -> usize {
        let until = Instant::now() + AIM_FOR;
        let is_aimed = self.random.random_bool(0.9);
        loop {
            while self.members[self.spared..].iter().all(|member| member.is_paused) {
                self.start_member();
            }
            let running = self.spared..self.members.len();
            let running: Vec<usize> = running.filter(|at| !self.members[*at].is_paused).collect();
            if !is_aimed || Instant::now() > until {
                return *running.choose(&mut self.random).expect("one runs");
            }
            for at in running {
                let id = self.members[at].transactional_id();
                // While Kafka is away it cannot be asked, and nothing is open that it knows of.
                if id.is_some_and(|id| self.hold_in_transaction(at, &id).unwrap_or(false)) {
                    return at;
                }
            }
            self.pass(Duration::from_millis(1));
        }
    }

    /// Stops the process where it is; when its transaction ended meanwhile, it goes on.
    fn hold_in_transaction(&self, at: usize, id: &str) -> std::io::Result<bool> {
        if !transactions::is_open(&self.kafka, id)? {
            return Ok(false);
        }
        let process = &self.members[at].process;
        process.signal(libc::SIGSTOP);
        let is_open = transactions::is_open(&self.kafka, id);
        if !matches!(is_open, Ok(true)) {
            process.signal(libc::SIGCONT);
        }
        is_open
    }

    fn kill_member(&mut self) -> bool {
        let at = self.choose_member();
        let member = self.members.swap_remove(at);
        let id = member.transactional_id();
        let killed = member.process.kill();
        assert_eq!(killed.code(), -libc::SIGKILL, "it was still running:\n{}", killed.said);
        self.later(0, Repair::StartMember);
        id.is_some_and(|id| transactions::is_open(&self.kafka, &id).unwrap_or(false))
    }

    fn pause_member(&mut self) -> bool {
        let at = self.choose_member();
        let member = &mut self.members[at];
        member.process.signal(libc::SIGSTOP);
        member.is_paused = true;
        let (pid, id) = (member.process.id(), member.transactional_id());
        self.later(SESSION_MS + 2_000, Repair::Resume(pid));
        id.is_some_and(|id| transactions::is_open(&self.kafka, &id).unwrap_or(false))
    }

    fn stop_member(&mut self) -> bool {
        let mut running = self.spared..self.members.len();
        if let Some(at) = running.find(|at| !self.members[*at].is_paused) {
            let stopped = self.members.swap_remove(at).process.terminate();
            // One that has not joined yet may find that the server it waits for is away.
            let is_absent = stopped.code() == ABSENT && !stopped.said.contains("assigned");
            let is_clean = stopped.code() == 0 || is_absent;
            assert!(is_clean, "stream after SIGTERM: {}\n{}", stopped.code(), stopped.said);
        }
        if self.members.len() < MEMBERS {
            self.later(1_000, Repair::StartMember);
        }
        false
    }

    fn kill_producer(&mut self) -> bool {
        // One that was just killed has to come back first.
        while self.producer.is_none() {
            self.pass(Duration::from_millis(100));
        }
        if let Some(producer) = self.producer.take() {
            let killed = producer.kill();
            assert_eq!(killed.code(), -libc::SIGKILL, "it was still running:\n{}", killed.said);
        }
        self.later(0, Repair::StartProducer);
        false
    }

    fn kill_server(&mut self, server: &'static str) -> bool {
        while self.down.iter().any(|(down, _)| *down == server) {
            self.pass(Duration::from_millis(100));
        }
        infra(&["kill", server]).status().expect("scripts/infra.sh runs");
        self.down.push((server, None));
        self.later(0, Repair::StartServer(server));
        false
    }

    fn repair(&mut self, all: bool) {
        let now = Instant::now();
        let due = |(at, _): &(Instant, Repair)| all || *at <= now;
        let (due, later) = std::mem::take(&mut self.repairs).into_iter().partition(due);
        self.repairs = later;
        for (_, repair) in due {
            match repair {
                Repair::StartMember => self.start_member(),
                Repair::StartProducer => self.start_producer(),
                Repair::Resume(pid) => self.resume(pid),
                Repair::StartServer(server) => {
                    let started = infra(&["up", server]).spawn().expect("scripts/infra.sh runs");
                    let down = self.down.iter_mut().find(|(down, _)| *down == server);
                    down.expect("it is down").1 = Some(started);
                }
            }
        }
        self.down.retain_mut(|(server, starting)| {
            let Some(starting) = starting else { return true };
            match starting.try_wait().expect("the script is ours") {
                Some(status) => {
                    assert!(status.success(), "{server} does not come back: {status}");
                    false
                }
                None => true,
            }
        });
    }

    fn resume(&mut self, pid: u32) {
        let paused = self.members.iter_mut().find(|member| member.process.id() == pid);
        let member = paused.expect("a paused process is kept");
        member.process.signal(libc::SIGCONT);
        member.is_paused = false;
    }

    /// None of ours may end by itself.
    fn look_after(&mut self) {
        let mut ended = Vec::new();
        for (at, member) in self.members.iter_mut().enumerate() {
            let process = &mut member.process;
            if !member.is_paused && !process.is_running() {
                let said = process.said();
                // Whoever is started while a server is away says so and ends; it is started again.
                assert!(!said.contains("assigned"), "a stream process gave up:\n{said}");
                ended.push(at);
            }
        }
        for at in ended.into_iter().rev() {
            let ended = self.members.swap_remove(at).process.wait();
            assert_eq!(ended.code(), ABSENT, "at its start:\n{}", ended.said);
            self.later(0, Repair::StartMember);
        }
        if let Some(producer) = &mut self.producer {
            assert!(producer.is_running(), "the producer gave up:\n{}", producer.said());
        }
    }

    /// Nothing is wrong any more: servers and producer are there, the group is whole.
    pub fn settle(&mut self) {
        self.repair(true);
        while !self.down.is_empty() {
            self.pass(Duration::from_millis(100));
        }
        while self.members.len() < MEMBERS {
            self.start_member();
        }
    }

    /// Stops the producer cleanly: what it took is in the topic then, and what one before it left
    /// in the spool.
    pub fn stop_producer(&mut self) {
        let mut producer = self.producer.take().expect("it runs");
        producer.wait_for("that it subscribed", |said| said.contains("subscribed").then_some(()));
        let produced = producer.terminate();
        assert_eq!(produced.code(), 0, "producer after SIGTERM:\n{}", produced.said);
    }

    /// Waits until the group has read everything; gives up only when it makes no progress.
    pub fn wait_until_read(&mut self) {
        const STUCK: Duration = Duration::from_secs(120);
        let observer = self.world.observer();
        let (mut least, mut moved) = (i64::MAX, Instant::now());
        loop {
            if let Ok(lag) = observer.lag() {
                if lag == 0 {
                    return;
                }
                if lag < least {
                    (least, moved) = (lag, Instant::now());
                }
            }
            assert!(moved.elapsed() < STUCK, "{least} records are left, and nobody reads on");
            self.pass(Duration::from_millis(500));
        }
    }

    /// Stops all members, and reads what may be left as one.
    pub fn drain(&mut self) {
        for member in self.members.drain(..) {
            let stopped = member.process.terminate();
            assert_eq!(stopped.code(), 0, "stream after SIGTERM:\n{}", stopped.said);
        }
        self.world.succeed(&["stream", "--until-end", "--drain"]);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for (_, starting) in &mut self.down {
            if let Some(starting) = starting {
                // The servers are ended by whoever started this run.
                let _ = starting.wait();
            }
        }
    }
}

/// Directory and ports of the servers are in the environment already.
fn infra(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/infra.sh"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
