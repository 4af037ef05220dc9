// What people write with testcontainers for Node. Run by `node --test` with DOCKER_HOST set.
import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { text } from "node:stream/consumers";
import { GenericContainer, Network, PullPolicy, Wait } from "testcontainers";

const BASE = "sockerless/base:latest";
const SERVE = "mkdir -p /w && hostname > /w/page && exec httpd -f -p 80 -h /w";
const HERE = import.meta.dirname;

const shell = (command, image = BASE) =>
  new GenericContainer(image).withEntrypoint(["sh", "-c"]).withCommand([command]).withStartupTimeout(30_000);
const get = async (container, page = "page", port = 80) =>
  (await fetch(`http://${container.getHost()}:${container.getMappedPort(port)}/${page}`)).text();

test("listening ports, on the host and inside", async () => {
  await using container = await shell(`sleep 0.3; ${SERVE}`).withExposedPorts(80).withHostname("served").start();
  assert.equal(await get(container), "served\n");
  assert.equal(await get(container), await (await fetch(`http://[::1]:${container.getMappedPort(80)}/page`)).text());
});

test("several listening ports", async () => {
  const own = shell("mkdir /w; httpd -p 81 -h /w; exec httpd -f -p 80 -h /w").withExposedPorts(80, "81/tcp");
  await using container = await own.withWaitStrategy(Wait.forListeningPorts()).start();
  assert.notEqual(container.getMappedPort(80), container.getMappedPort(81));
});

test("a port that nobody serves", async () => {
  const silent = shell("sleep 100").withExposedPorts(80).withStartupTimeout(1000);
  await assert.rejects(silent.start(), /Port \d+(\/tcp)? not bound after 1000ms/);
});

test("a log message, the second of its kind", async () => {
  const counting = shell("for n in 1 2 3; do echo tick $n; sleep 0.1; done; exec sleep 100");
  await using container = await counting.withWaitStrategy(Wait.forLogMessage(/tick/, 2)).start();
  const seen = await container.exec(["echo", "still there"]);
  assert.deepEqual([seen.exitCode, seen.output], [0, "still there\n"]);
});

test("a log message that does not come", async () => {
  const ending = shell("echo other").withWaitStrategy(Wait.forLogMessage("never"));
  await assert.rejects(ending.start(), /Log stream ended and message "never" was not received/);
});

test("a health check", async () => {
  const check = { test: ["CMD-SHELL", "test -f /tmp/ready"], interval: 100, timeout: 5000, retries: 100, startPeriod: 0 };
  const healing = shell("sleep 0.5; touch /tmp/ready; exec sleep 100").withHealthCheck(check);
  await using container = await healing.withWaitStrategy(Wait.forHealthCheck()).start();
  assert.equal((await container.exec(["test", "-f", "/tmp/ready"])).exitCode, 0);
});

test("HTTP", async () => {
  const late = shell(`(sleep 0.5; echo up > /w/ready) & ${SERVE}`).withExposedPorts(80);
  const ready = Wait.forHttp("/ready", 80).forStatusCode(200).forResponsePredicate((body) => body === "up\n");
  await using container = await late.withWaitStrategy(ready).start();
  assert.equal(await get(container, "ready"), "up\n");
});

test("a command, and all of several", async () => {
  const both = Wait.forAll([Wait.forSuccessfulCommand("test -f /tmp/done"), Wait.forLogMessage("started")]);
  const working = shell("echo started; sleep 0.3; touch /tmp/done; exec sleep 100");
  await using container = await working.withWaitStrategy(both).start();
  assert.equal((await container.exec("test -f /tmp/done")).exitCode, 0);
});

test("one shot", async () => {
  const once = shell("echo once").withWaitStrategy(Wait.forOneShotStartup());
  await using container = await once.start();
  assert.equal(await text(await container.logs()), "once\n");
  const failing = shell("exit 3").withWaitStrategy(Wait.forOneShotStartup());
  await assert.rejects(failing.start(), /Container failed to start for [0-9a-f]{64}/);
});

test("exec", async () => {
  await using container = await shell("sleep 100").start();
  const result = await container.exec(["sh", "-c", "echo out; echo err >&2; exit 4"]);
  assert.deepEqual([result.exitCode, result.stdout, result.stderr], [4, "out\n", "err\n"]);
  const options = { workingDir: "/usr", user: "1000", env: { WORD: "given" } };
  const there = await container.exec(["sh", "-c", "pwd; id -u; echo $WORD"], options);
  assert.equal(there.output, "/usr\n1000\ngiven\n");
});

test("files in and out", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "tc-"));
  await writeFile(path.join(folder, "file"), "from the host");
  const filled = shell("cat /a/file /b/file /c; exec sleep 100")
    .withCopyFilesToContainer([{ source: path.join(folder, "file"), target: "/a/file", mode: 0o600 }])
    .withCopyDirectoriesToContainer([{ source: folder, target: "/b" }])
    .withCopyContentToContainer([{ content: "text\n", target: "/c" }])
    .withWaitStrategy(Wait.forLogMessage("text"));
  await using container = await filled.start();
  assert.equal((await container.exec(["stat", "-c", "%a", "/a/file"])).output, "600\n");
  await container.copyContentToContainer([{ content: "later", target: "/tmp/later" }]);
  assert.equal((await container.exec(["cat", "/tmp/later"])).output, "later");
  const archive = await container.copyArchiveFromContainer("/tmp/later");
  assert.match(await text(archive), /later/);
});

test("a network with aliases", async () => {
  await using network = await new Network().start();
  const server = shell(SERVE).withExposedPorts(80).withNetwork(network).withNetworkAliases("web", "www");
  await using first = await server.withHostname("inner").start();
  await using second = await shell("sleep 100").withNetwork(network).start();
  for (const name of ["web", "www"])
    assert.equal((await second.exec(["wget", "-q", "-O", "-", `http://${name}/page`])).output, "inner\n");
  assert.equal(first.getNetworkNames().includes(network.getName()), true);
  assert.match(first.getIpAddress(network.getName()), /^\d+\.\d+\.\d+\.\d+$/);
});

test("environment, labels, user, folder, mounts, limits", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "tc-"));
  await chmod(folder, 0o755);
  await writeFile(path.join(folder, "file"), "bound");
  const given = shell("sleep 100")
    .withEnvironment({ WORD: "one two" }).withLabels({ team: "a" }).withUser("1000").withWorkingDir("/usr")
    .withTmpFs({ "/scratch": "rw" }).withBindMounts([{ source: folder, target: "/bound", mode: "rw" }])
    .withExtraHosts([{ host: "extra", ipAddress: "10.9.8.7" }]).withResourcesQuota({ memory: 0.25, cpu: 1 });
  await using container = await given.start();
  assert.equal(container.getLabels().team, "a");
  const seen = await container.exec(["sh", "-c", "echo $WORD; id -u; pwd; cat /bound/file; grep -o 10.9.8.7 /etc/hosts"]);
  assert.equal(seen.output, "one two\n1000\n/usr\nbound10.9.8.7\n");
  assert.equal((await container.exec(["sh", "-c", "echo x > /bound/made"], { user: "0" })).exitCode, 0);
  assert.equal(await readFile(path.join(folder, "made"), "utf8"), "x\n");
});

test("logs as a stream and by a consumer", async () => {
  const lines = [];
  let last;
  const ended = new Promise((resolve) => { last = resolve; });
  const consume = (stream) => stream.on("data", (line) => lines.push(line)).on("end", last);
  const talking = shell("echo one; echo two >&2; sleep 0.2; echo three").withLogConsumer(consume);
  await using container = await talking.withWaitStrategy(Wait.forOneShotStartup()).start();
  await ended;
  assert.deepEqual(lines.map(String).join("").trim().split(/\n+/).sort(), ["one", "three", "two"]);
  assert.deepEqual((await text(await container.logs({ tail: 1 }))), "three\n");
});

test("restart keeps the files", async () => {
  const counting = shell("echo run >> /runs; exec httpd -f -p 80 -h /").withExposedPorts(80);
  await using container = await counting.start();
  await container.restart({ timeout: 1000 });
  assert.equal(await get(container, "runs"), "run\nrun\n");
});

test("files of a stopped container", async () => {
  const made = await shell(SERVE).withExposedPorts(80).withAutoRemove(false).start();
  const stopped = await made.stop({ remove: false });
  const archive = await stopped.copyArchiveFromContainer("/w/page");
  assert.match(await text(archive), /page/);
});

test("reuse", async () => {
  const options = () => shell(SERVE).withExposedPorts(80).withReuse();
  const first = await options().start();
  const second = await options().start();
  assert.equal(first.getId(), second.getId());
  assert.equal(first.getMappedPort(80), second.getMappedPort(80));
  await second.stop();
});

test("an image built from a Dockerfile", async () => {
  const builder = GenericContainer.fromDockerfile(path.join(HERE, "image")).withBuildArgs({ GREETING: "hello" });
  const image = await builder.withTarget("first").withCache(false).withPullPolicy(PullPolicy.defaultPolicy()).build();
  await using container = await image.withExposedPorts(80).start();
  assert.deepEqual([await get(container), await get(container, "extra")], ["hello from build\n", "copied\n"]);
  const final = await GenericContainer.fromDockerfile(path.join(HERE, "image")).build("tc-node/final:1");
  await using second = await final.withExposedPorts(80).start();
  assert.equal(await get(second), "none from build\nsecond\n");
});

test("a build that fails", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "tc-"));
  await writeFile(path.join(folder, "Dockerfile"), "FROM sockerless/base\nRUN exit 7\n");
  await assert.rejects(GenericContainer.fromDockerfile(folder).build("tc-node/bad:1"), /Failed to build image/);
});

test("commit", async () => {
  await using container = await shell("sleep 100").start();
  await container.exec(["sh", "-c", "echo kept > /kept"]);
  const id = await container.commit({ repo: "tc-node/kept", tag: "1", deleteOnExit: false });
  assert.match(id, /^sha256:[0-9a-f]{64}$/);
  await using copy = await shell("sleep 100", "tc-node/kept:1").start();
  assert.equal((await copy.exec(["cat", "/kept"])).output, "kept\n");
});
