//! Records that are gone before they were read: the stream stops and says so, at its start and in
//! the middle of its work, and reads on nowhere else.

use crate::harness::{World, refused, with_steady_servers};

const BASE_MS: i64 = 1_710_184_800_000;

fn produce(world: &World) {
    world.python("produce.py", &["--trades", "3000", "--base-ms", &BASE_MS.to_string()]);
}

#[test]
fn records_deleted_unread_stop_the_stream_with_the_choices() {
    let _servers = with_steady_servers();
    let world = World::prepared("trimmed");
    let topic = world.setting("TOPICS__TRADES").to_owned();
    let choices = ["ticksmith reset --to-earliest --apply", "--to-datetime", "new kafka.group"];
    let words = [&[&*topic, "begins at", "records are gone unread"], &choices[..]].concat();
    produce(&world);
    let stream = world.start(&["stream"]);
    world.wait_until_read();

    // In the middle of its work: it slept while the records came and went.
    stream.freeze();
    produce(&world);
    world.observer().delete_all();
    stream.thaw();
    let ended = stream.wait();
    assert_eq!(ended.code(), 2, "stream:\n{}", ended.said);
    for word in &words {
        assert!(ended.said.contains(word), "'{word}' is not named:\n{}", ended.said);
    }

    // And when it is started again.
    refused(&world, &["stream"], 2, &words);
}
