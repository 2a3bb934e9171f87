//! Two producers of one key: one reads, the other stands by and takes over, whatever becomes of the
//! first.

use std::time::{Duration, Instant};

use crate::harness::process::Process;
use crate::harness::steady::{self, assert_delivered};
use crate::harness::world::{Frames, free_port};
use crate::harness::{World, eventually, with_steady_servers};

/// Brokers that are set up for it allow less than six seconds.
const LEASE: Duration = Duration::from_secs(4);
const SECONDS: i64 = 30;
const FRAME_EVERY_MS: i64 = 10;

/// One of the two; it keeps its spool and its port when it is started again.
struct Place {
    spool: String,
    port: String,
}

struct Run {
    world: World,
    frames: Frames,
    simulator: Process,
    url: String,
    places: [Place; 2],
}

impl Run {
    fn new(case: &str) -> Self {
        let mut world = World::prepared(case);
        world.set("PRODUCER__LEASE_TIMEOUT_MS", &LEASE.as_millis().to_string());
        world.set("PRODUCER__BACKOFF_INITIAL_MS", "200");
        world.set("PRODUCER__BACKOFF_MAX_MS", "400");
        let frames = steady::record(&world, SECONDS, FRAME_EVERY_MS);
        let (simulator, url) = world.start_simulator(&frames, &["--exit-at-end"]);
        let place = |name: &str| Place { spool: name.to_owned(), port: free_port() };
        Self { frames, simulator, url, places: [place("one"), place("other")], world }
    }

    fn start(&self, place: usize) -> Process {
        let Place { spool, port } = &self.places[place];
        let settings =
            [("PRODUCER__SPOOL_DIR", spool.clone()), ("PRODUCER__HTTP_PORT", port.clone())];
        let arguments = ["producer", "--url", &self.url, "--symbols", &self.frames.symbols];
        self.world.start_with(&arguments, &settings)
    }

    /// One that reads, and one that stands by.
    fn start_both(&self) -> [Process; 2] {
        let began = Instant::now();
        let mut first = self.start(0);
        first.wait_for("that it subscribed", subscribed);
        println!("{}: the first subscribed after {:?}", self.world.name(), began.elapsed());
        first.wait_for("that it holds the lease", |said| {
            said.contains("holds the lease").then_some(())
        });
        let mut second = self.start(1);
        second.wait_for("that it stands by", standing_by);
        self.wait_for(1, "/readyz", "standby: another producer holds the lease");
        self.wait_for(1, "/metrics", "ticksmith_producer_lease_held{feed=\"finnhub/0\"} 0");
        self.wait_for(0, "/metrics", "ticksmith_producer_lease_held{feed=\"finnhub/0\"} 1");
        self.world.wait_for_trades(1_000);
        assert!(subscribed(&second.said()).is_none(), "only one reads:\n{}", second.said());
        [first, second]
    }

    fn get(&self, place: usize, path: &str) -> String {
        eventually("an answer", || self.world.get(&self.places[place].port, path))
    }

    /// The log line comes first.
    fn wait_for(&self, place: usize, path: &str, text: &str) {
        eventually(text, || {
            let answer = self.get(place, path);
            if answer.contains(text) { Ok(()) } else { Err(answer) }
        });
    }

    fn ready(&self, place: usize) -> String {
        self.get(place, "/readyz")
    }

    /// To the end of the recording; then tables and topics must be the oracle's, and what is not in
    /// the topic must be in a gap.
    fn finish(self, producers: Vec<Process>, expected: &str) {
        assert_eq!(self.simulator.wait().code(), 0, "simulate --exit-at-end");
        for producer in producers {
            let ended = producer.terminate();
            assert_eq!(ended.code(), 0, "producer after SIGTERM:\n{}", ended.said);
        }
        self.world.succeed(&["stream", "--until-end", "--drain"]);
        self.world.check(&["--drained", "--expect", expected]);
        let counted = assert_delivered(&self.world, &self.frames, &["--expect", "missing"]);
        assert!(counted["connections"].as_i64() >= Some(2), "{counted}");
    }
}

fn subscribed(said: &str) -> Option<()> {
    said.contains("subscribed to").then_some(())
}

fn standing_by(said: &str) -> Option<()> {
    said.contains("standby: another producer holds the lease").then_some(())
}

#[test]
fn a_standby_takes_over_from_a_producer_that_was_killed() {
    let _servers = with_steady_servers();
    let run = Run::new("lease_killed");
    let [first, mut second] = run.start_both();
    let killed = Instant::now();
    first.kill();
    second.wait_for("that it subscribed", subscribed);
    println!("{}: taken over {:?} after kill -9", run.world.name(), killed.elapsed());
    // The dead one's spool is sent by its successor, which reads nothing.
    let mut first = run.start(0);
    first.wait_for("that it stands by", standing_by);
    assert!(run.ready(1).ends_with("ready\n"));
    run.finish(vec![first, second], "merged,gap producer_lost");
}

#[test]
fn a_producer_that_stops_hands_over_without_a_time_out() {
    let _servers = with_steady_servers();
    let run = Run::new("lease_stopped");
    let [first, mut second] = run.start_both();
    let stopped = Instant::now();
    assert_eq!(first.terminate().code(), 0);
    second.wait_for("that it subscribed", subscribed);
    let took = stopped.elapsed();
    println!("{}: taken over {took:?} after SIGTERM", run.world.name());
    assert!(took < LEASE, "a lease that is given back is not waited for: {took:?}");
    run.finish(vec![second], "merged,gap disconnected");
}

#[test]
fn a_producer_that_was_stopped_for_too_long_gives_way() {
    let _servers = with_steady_servers();
    let run = Run::new("lease_paused");
    let [mut first, mut second] = run.start_both();
    let paused = Instant::now();
    first.signal(libc::SIGSTOP);
    second.wait_for("that it subscribed", subscribed);
    println!("{}: taken over {:?} after SIGSTOP", run.world.name(), paused.elapsed());
    first.signal(libc::SIGCONT);
    first.wait_for("that it stands by", standing_by);
    eventually("the second reads", || {
        let ready = run.ready(1);
        if ready.ends_with("ready\n") { Ok(()) } else { Err(ready) }
    });
    assert!(run.ready(0).contains("standby"), "{}", run.ready(0));
    run.finish(vec![first, second], "merged");
}
