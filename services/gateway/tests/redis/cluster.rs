//! A cluster of three nodes, one of which dies: it concerns the organisations whose buckets it has, and nobody else.

use crate::{
    door::{Behind, Door},
    load::Load,
    support::{fresh, turn, until},
};
use gateway::{limits::Config, redis::Redis};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::MutexGuard;

const NODES: usize = 3;
/// Slots of a cluster.
const SLOTS: usize = 16_384;
/// Writes a second of each organisation, and for how long.
const PER_SECOND: u32 = 200;
const LASTS: Duration = Duration::from_secs(3);
const LIMITS: &str = r#"{"default":{"write":{"perSecond":100000,"burst":100000}}}"#;

struct Node {
    port: u16,
    server: Child,
}

impl Node {
    fn start(folder: &Path, port: u16) -> Node {
        // By itself the bus would be at a port that the system gives to outgoing connections.
        let bus = (port + 100).to_string();
        let (port_text, file) = (port.to_string(), format!("nodes-{port}.conf"));
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--save", "", "--port", &port_text, "--dir"]).arg(folder);
        server.args(["--cluster-enabled", "yes", "--cluster-config-file", &file, "--cluster-port", &bus]);
        // Without it one node that is away is all of them.
        server.args(["--cluster-require-full-coverage", "no", "--cluster-node-timeout", "1000"]);
        Node { port, server: server.stdout(Stdio::null()).spawn().unwrap() }
    }

    fn cli(&self, arguments: &str) -> String {
        let mut cli = Command::new("redis-cli");
        let done = cli.args(["-p", &self.port.to_string()]).args(arguments.split(' ')).output().unwrap();
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn kill(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Cluster {
    nodes: Vec<Node>,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    async fn start() -> Cluster {
        let (turn, first) = turn().await;
        let (folder, first) = (tempfile::tempdir().unwrap(), first.parse::<u16>().unwrap());
        let ports = first..first + u16::try_from(NODES).unwrap();
        let nodes: Vec<Node> = ports.map(|port| Node::start(folder.path(), port)).collect();
        for node in &nodes {
            until("a node answers", async || node.cli("ping") == "PONG").await;
        }
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Cluster { nodes, folder, _turn: turn };
        cluster.until_whole().await;
        cluster
    }

    async fn until_whole(&self) {
        for node in &self.nodes {
            until("the cluster is whole", async || {
                let info = node.cli("cluster info");
                info.contains("cluster_state:ok") && info.contains(&format!("cluster_slots_ok:{SLOTS}"))
            })
            .await;
        }
    }

    fn url(&self) -> String {
        let addresses: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// An organisation whose bucket is at each of the nodes.
    fn organizations(&self) -> Vec<String> {
        let at = |node: usize| {
            std::iter::repeat_with(|| fresh("of")).find(|name| {
                let slot: usize = self.nodes[0].cli(&format!("cluster keyslot {name}")).parse().unwrap();
                slot * NODES / SLOTS == node
            })
        };
        (0..NODES).filter_map(at).collect()
    }
}

fn decided(door: &Door, by: &str) -> f64 {
    door.metric(&format!("rate_limit_decisions_total{{kind=\"write\",by=\"{by}\",outcome=\"allowed\"}}"))
}

/// Writes as one organisation for a while; answers how many were decided by Redis and locally, and the p99.
async fn write(door: &Door, load: &Load, organization: &str) -> (f64, f64, Duration) {
    let before = [decided(door, "redis"), decided(door, "local")];
    let loaded = load.run(door, organization).await;
    assert_eq!(loaded.refused, 0);
    (decided(door, "redis") - before[0], decided(door, "local") - before[1], loaded.p99)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_concerns_only_the_organisations_that_it_has() {
    let mut cluster = Cluster::start().await;
    let redis = Redis::open(
        &cluster.url().parse().unwrap(),
        &process::cores::Cores::none(),
        &Default::default(),
        &mut Default::default(),
    );
    assert!(redis.connected(Duration::from_secs(20)).await);
    let behind = Behind::new();
    let limits = Config { deadline: Config::default().deadline, ..behind.limits(LIMITS) };
    let door = behind.door(limits, Some(redis));
    let load = Load::new(door.serve(), PER_SECOND, LASTS);
    let organizations = cluster.organizations();
    load.run(&door, &organizations[0]).await;
    let all = f64::from(PER_SECOND * u32::try_from(LASTS.as_secs()).unwrap());
    let mut usual = Duration::ZERO;
    for organization in &organizations {
        let (redis, local, p99) = write(&door, &load, organization).await;
        println!("whole: {redis} by Redis, {local} locally, p99 {p99:?}");
        assert!(redis > all * 0.95, "{redis} of {all} were decided by Redis, {local} locally");
        usual = usual.max(p99);
    }

    for dead in [NODES - 1, 0] {
        cluster.nodes[dead].kill();
        println!("node {dead} is dead");
        for (node, organization) in organizations.iter().enumerate() {
            let (redis, local, p99) = write(&door, &load, organization).await;
            println!("node {node}: {redis} by Redis, {local} locally, p99 {p99:?}");
            let expected = if node == dead { local } else { redis };
            assert!(expected > all * 0.95, "node {node}: {redis} by Redis, {local} locally");
            assert!(p99 < usual + Duration::from_millis(50), "node {node}: p99 {p99:?}, usually {usual:?}");
        }
        cluster.nodes[dead] = Node::start(cluster.folder.path(), cluster.nodes[dead].port);
        cluster.until_whole().await;
        until("the node's organisations are decided by Redis again", async || {
            let before = decided(&door, "redis");
            load.write(&door, &organizations[dead]).await;
            decided(&door, "redis") > before
        })
        .await;
    }
}
