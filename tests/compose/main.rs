//! Docker: `docker-compose.yml` as stand-ins of its images and people's habits rely on it, the
//! image of ticksmith, and the scripts that go into containers.

mod description;
mod image;
mod scripts;

use description::{Description, Service};

const INFRASTRUCTURE: [&str; 5] = ["kafka", "cassandra", "kafka-ui", "prometheus", "grafana"];
const FULL: [&str; 5] = ["init", "simulator", "producer", "stream", "dashboard"];

fn described() -> Description {
    Description::of_file()
}

/// What the file says is what Compose makes of it, whichever of its two generations is here.
#[test]
fn compose_reads_it_as_it_is_meant() {
    match Description::of_compose() {
        Some(compose) => assert_eq!(compose, described()),
        None => println!("no Compose on this machine: the file is read without it"),
    }
}

/// Compose 1.29 refuses a file with a key that it does not know.
#[test]
fn an_older_compose_knows_every_key() {
    const KNOWN: [&str; 18] = [
        "build",
        "command",
        "depends_on",
        "entrypoint",
        "environment",
        "extra_hosts",
        "healthcheck",
        "hostname",
        "image",
        "mem_limit",
        "ports",
        "profiles",
        "restart",
        "volumes",
        "stop_grace_period",
        "stop_signal",
        "tmpfs",
        "init",
    ];
    let file = description::file();
    for key in file.as_object().expect("a mapping").keys() {
        assert!(["services", "volumes"].contains(&key.as_str()) || key.starts_with("x-"), "{key}");
    }
    for (name, service) in file["services"].as_object().expect("services") {
        for key in service.as_object().expect("a mapping").keys() {
            assert!(KNOWN.contains(&key.as_str()), "{name}: {key}");
        }
    }
}

#[test]
fn the_infrastructure_is_there_without_a_profile_and_the_rest_in_full() {
    let services = described().services;
    for (name, service) in &services {
        let expected: &[&str] = if FULL.contains(&name.as_str()) { &["full"] } else { &[] };
        assert_eq!(service.profiles, expected, "{name}");
    }
    let mut expected: Vec<&str> = INFRASTRUCTURE.iter().chain(&FULL).copied().collect();
    expected.sort_unstable();
    assert_eq!(services.keys().collect::<Vec<_>>(), expected);
}

#[test]
fn ports_are_published_on_loopback_where_the_documents_say() {
    let ports = [
        ("kafka", "9092:9092"),
        ("cassandra", "9042:9042"),
        ("kafka-ui", "8090:8080"),
        ("prometheus", "9090:9090"),
        ("grafana", "3000:3000"),
        ("simulator", "8765:8765"),
        ("producer", "8081:8081"),
        ("stream", "8080:8080"),
        ("dashboard", "8501:8501"),
    ];
    let services = described().services;
    for (name, port) in ports {
        assert_eq!(services[name].ports, [format!("127.0.0.1:{port}")], "{name}");
    }
    assert!(services["init"].ports.is_empty());
}

#[test]
fn images_are_pinned_and_the_official_ones_keep_their_entry_points() {
    let services = described().services;
    let images = [
        ("kafka", "apache/kafka:4.1.0"),
        ("cassandra", "cassandra:5.0.5"),
        ("kafka-ui", "ghcr.io/kafbat/kafka-ui:v1.3.0"),
        ("prometheus", "prom/prometheus:v3.5.0"),
        ("grafana", "grafana/grafana:12.3.0"),
    ];
    for (name, image) in images {
        let Service { image: found, entrypoint, command, .. } = &services[name];
        assert_eq!(found, image);
        assert!(entrypoint.is_empty(), "{name} starts as its image does");
        assert_eq!(command.is_empty(), name != "prometheus", "{name}");
    }
    // What the image passes by itself, and how long it remembers.
    let prometheus = services["prometheus"].command.join(" ");
    assert!(prometheus.starts_with(
        "--config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus --storage"
    ));
    for name in FULL {
        assert_eq!(services[name].image, "ticksmith:local", "{name}");
        assert!(services[name].is_built, "{name}");
    }
    assert_eq!(services["simulator"].entrypoint, ["ticksmith-feed", "simulator"]);
    assert_eq!(services["producer"].entrypoint, ["ticksmith-feed", "producer"]);
    assert_eq!(services["stream"].command, ["stream"]);
    assert_eq!(services["dashboard"].command, ["serve"]);
    let init = ["sh", "-c", "ticksmith topics && ticksmith cassandra-init"];
    assert_eq!(services["init"].entrypoint, init);
}

/// And without a shell: Docker would end the shell of a check that takes too long, and leave its
/// child running.
#[test]
fn health_is_asked_for_with_what_the_images_have() {
    let services = described().services;
    let checks = [
        ("kafka", "CMD kafka-topics --bootstrap-server localhost:29092 --list"),
        ("cassandra", "CMD cqlsh -e SELECT release_version FROM system.local"),
        ("kafka-ui", "CMD wget -q -O /dev/null http://localhost:8080/actuator/health"),
        ("prometheus", "CMD wget -q -O /dev/null http://localhost:9090/-/healthy"),
        ("grafana", "CMD wget -q -O /dev/null http://localhost:3000/api/health"),
        ("simulator", "CMD ticksmith-health 8765"),
        ("producer", "CMD ticksmith-health 8081"),
        ("stream", "CMD ticksmith-health 8080"),
        ("dashboard", "CMD ticksmith-health 8501"),
    ];
    for (name, check) in checks {
        assert_eq!(services[name].health.join(" "), check, "{name}");
    }
    assert!(services["init"].health.is_empty(), "it ends");
}

#[test]
fn what_a_service_needs_is_there_before_it() {
    let services = described().services;
    let after = [
        ("kafka", vec![]),
        ("cassandra", vec![]),
        ("prometheus", vec![]),
        ("kafka-ui", vec![("kafka", "service_healthy")]),
        ("grafana", vec![("cassandra", "service_healthy"), ("prometheus", "service_healthy")]),
        ("simulator", vec![]),
        ("init", vec![("cassandra", "service_healthy"), ("kafka", "service_healthy")]),
        (
            "producer",
            vec![("init", "service_completed_successfully"), ("simulator", "service_started")],
        ),
        ("stream", vec![("init", "service_completed_successfully")]),
        ("dashboard", vec![("init", "service_completed_successfully")]),
    ];
    for (name, expected) in after {
        let found: Vec<(&str, &str)> =
            services[name].after.iter().map(|(name, how)| (name.as_str(), how.as_str())).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn clients_inside_and_outside_find_the_servers() {
    let services = described().services;
    let of = |service: &str, name: &str| -> String {
        let value = services[service].environment.get(name).cloned().flatten();
        value.unwrap_or_else(|| panic!("{service}: {name} has no value"))
    };
    let advertised = of("kafka", "KAFKA_ADVERTISED_LISTENERS");
    assert_eq!(advertised, "PLAINTEXT_HOST://localhost:9092,PLAINTEXT://kafka:29092");
    let listeners = of("kafka", "KAFKA_LISTENERS");
    assert_eq!(listeners, "PLAINTEXT_HOST://:9092,PLAINTEXT://:29092,CONTROLLER://:9093");
    assert_eq!(of("kafka", "KAFKA_PROCESS_ROLES"), "broker,controller");
    assert_eq!(of("kafka", "KAFKA_AUTO_CREATE_TOPICS_ENABLE"), "false");
    assert_eq!(of("kafka-ui", "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"), "kafka:29092");
    assert_eq!(of("grafana", "CASSANDRA_URL"), "cassandra:9042");
    assert_eq!(of("grafana", "PROMETHEUS_URL"), "http://prometheus:9090");
    assert_eq!(of("grafana", "GF_SECURITY_ADMIN_USER"), "admin");
    assert_eq!(of("grafana", "GF_SECURITY_ADMIN_PASSWORD"), "admin");
    let plugin = of("grafana", "GF_PLUGINS_PREINSTALL_SYNC");
    assert_eq!(plugin, "hadesarchitect-cassandra-datasource@3.3.0");
    for name in FULL {
        assert_eq!(of(name, "TICKSMITH__KAFKA__BOOTSTRAP"), "kafka:29092");
        assert_eq!(of(name, "TICKSMITH__CASSANDRA__CONTACT_POINTS"), "cassandra:9042");
        assert_eq!(of(name, "TICKSMITH__HTTP__BIND"), "0.0.0.0");
        // Taken over where it is set; no `.env` is needed.
        assert_eq!(services[name].environment.get("FINNHUB_API_KEY"), Some(&None), "{name}");
    }
}

#[test]
fn it_fits_a_laptop_and_keeps_its_data() {
    let Description { services, volumes } = described();
    let total: u64 = services.values().map(|service| service.memory_bytes).sum();
    assert!(services.values().all(|service| service.memory_bytes > 0));
    assert!(total <= 6_656 << 20, "{} MiB of 8 GB", total >> 20);
    let kept: Vec<&str> = volumes.iter().map(String::as_str).collect();
    let expected =
        ["cassandra-data", "grafana-data", "kafka-data", "producer-data", "prometheus-data"];
    assert_eq!(kept, expected);
    for volume in kept {
        let mounted = services.values().filter(|service| {
            service.mounts.iter().any(|mount| mount.starts_with(&format!("{volume}:")))
        });
        assert_eq!(mounted.count(), 1, "{volume}");
    }
    for (name, service) in &services {
        let expected = match name.as_str() {
            "init" => "no",
            "simulator" => "on-failure",
            _ => "unless-stopped",
        };
        assert_eq!(service.restart, expected, "{name}");
    }
}

/// `on-failure` brings back after a start of Docker only what ended as a failure, which a simulator
/// that is asked to stop does not.
#[test]
fn the_simulator_is_back_after_a_reboot() {
    let simulator = &description::file()["services"]["simulator"];
    assert_eq!(simulator["restart"], "on-failure");
    assert_eq!(simulator["stop_signal"], "SIGKILL");
}

/// What Docker kills after its ten seconds has its log to check at the next start.
#[test]
fn the_servers_have_time_to_stop() {
    for name in ["kafka", "cassandra"] {
        assert_eq!(description::file()["services"][name]["stop_grace_period"], "1m", "{name}");
    }
}

/// What is mounted into a container is in the repository.
#[test]
fn nothing_is_mounted_that_is_not_there() {
    for (name, service) in described().services {
        for mount in service.mounts.iter().filter(|mount| mount.starts_with("./")) {
            let source = mount.split(':').next().expect("a source");
            assert!(description::root().join(source).exists(), "{name}: {mount}");
            assert!(mount.ends_with(":ro"), "{name}: {mount}");
        }
    }
}
