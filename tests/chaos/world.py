"""The machines of one run: a network namespace, an address, and for nodes a disk, for each."""
import asyncio
import collections
import fcntl
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import time

from sandbox import Unavailable, command, die_with_parent

NODE_PORT, PEER_PORT, HTTP_PORT, RELAY_PORT = 7001, 7002, 7000, 9000
DRIVER = "10.77.0.1"
VOLUME_BYTES = 192 << 20
NAMESPACES = {"lww": "lww", "bank": "cas", "mixed": "mixed", "social": "crdt"}  # name -> kind
NODE_SETTINGS = """
cache_bytes = 8388608;
write_buffer_bytes = 4194304;
disk_reserve_bytes = 16777216;
reader_threads = 2;
"""
FS_IOC_SHUTDOWN, WITHOUT_FLUSHING = 0x8004587D, 2
_CONSENSUS = re.compile(rb"^quo_consensus_(\w+)_total (\d+)$", re.MULTILINE)
BAD_WORDS = re.compile(r"(Sanitizer|runtime error:|terminate called|[Aa]ssert|INVARIANT|REQUIRE)")
READY_SECONDS = 60
EMPTIED_SECONDS = 3
STOP_SECONDS = 30


class Machine:
    """One program in its network namespace. `wanted` says whether it ought to run now."""

    def __init__(self, world, name, program, address):
        self.world, self.name, self.program, self.address = world, name, program, address
        self.network = f"quo{world.tag}-{name}"
        self.config = world.folder / f"{name}.conf"
        self.log_path = world.folder / f"{name}.log"
        self.clock_file = world.folder / f"{name}.clock"
        self.process = None
        self.wanted = False
        self.paused = False
        self.starts = 0
        self.peak = 0
        self.rules = ""

    def make_network(self):
        command("ip", "netns", "add", self.network)
        command("ip", "link", "add", "up0", "netns", self.network, "type", "veth", "peer", "name",
                self.name)
        command("ip", "link", "set", self.name, "master", "bridge", "up")
        inside = ("ip", "-n", self.network)
        command(*inside, "address", "add", f"{self.address}/24", "dev", "up0")
        command(*inside, "link", "set", "up0", "up")
        command(*inside, "link", "set", "lo", "up")

    def inside(self, *arguments):
        return ("nsenter", f"--net=/run/netns/{self.network}", *map(str, arguments))

    def environment(self):
        """As arguments of env(1), so that only the program itself gets them."""
        if not self.world.faketime:
            return ()
        return (f"LD_PRELOAD={self.world.faketime}", f"FAKETIME_TIMESTAMP_FILE={self.clock_file}",
                "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1")

    def set_clock(self, offset):
        """Seconds that its wall clock is ahead."""
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(f"{offset:+.3f}\n")
        fresh.rename(self.clock_file)

    def start(self):
        self.wanted, self.paused = True, False
        self.starts += 1
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.inside("env", *self.environment(), self.world.programs / self.program,
                            "--config", self.config),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.world.folder,
                preexec_fn=die_with_parent)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def kill(self):
        self.wanted = False
        self.note_memory()
        if self.alive():
            self.process.kill()
        self.process.wait()

    def pause(self):
        self.paused = True
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.paused = False
        self.signal(signal.SIGCONT)

    def note_memory(self):
        """Keeps the highest resident size ever seen, in bytes."""
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except (OSError, AttributeError):
            return
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        if match:
            self.peak = max(self.peak, int(match.group(1)) * 1024)

    async def ask(self, path):
        """(status, body), (0, b"") if it does not answer within a second."""
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(self.address, HTTP_PORT), 1)
        except (OSError, asyncio.TimeoutError):
            return 0, b""
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await asyncio.wait_for(reader.read(), 1)).partition(b"\r\n\r\n")
            return int((head.split()[1:2] or [0])[0]), body
        except (OSError, asyncio.TimeoutError):
            return 0, b""
        finally:
            writer.close()

    async def ready(self):
        """Whether /readyz says 200."""
        return (await self.ask("/readyz"))[0] == 200

    def log_tail(self, lines=25):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return f"--- {self.name}\n" + "\n".join(text.rstrip().split("\n")[-lines:])

    def is_full(self):
        """Whether it may refuse to start, since its disk is full or was so a moment ago."""
        return False

    def bad_lines(self):
        if not self.log_path.exists():
            return []
        return [line for line in self.log_path.read_text(errors="replace").split("\n")
                if BAD_WORDS.search(line)]


class Node(Machine):
    """`disk` is its volume's mount point; the data directory lies below it."""

    emptied = 0  # when its filler was last taken away

    def make_disk(self):
        self.disk = self.world.folder / f"{self.name}.disk"
        self.disk.mkdir()
        if self.world.volumes:
            self.image = self.world.images / f"{self.name}.img"
            with open(self.image, "wb") as out:
                out.truncate(VOLUME_BYTES)
            command("mkfs.ext4", "-q", "-m", "0", self.image)
        self.mount()
        made = command(self.world.programs / self.program, "--init", "--data", self.disk / "data",
                       "--cluster", self.world.cluster_id)
        self.replica = made.strip()
        self.config.write_text(
            f'data = "{self.disk}/data";\nmap = "{self.world.folder}/map.json";\n'
            f'admin : {{ host = "{self.address}"; port = {HTTP_PORT}; }};\n{NODE_SETTINGS}'
            + self.world.collecting())

    def mount(self):
        if self.world.volumes:
            command("mount", "-o", "loop,noatime", self.image, self.disk)
        else:
            command("mount", "-t", "tmpfs", "-o", f"size={VOLUME_BYTES}", "tmpfs", self.disk)

    def lose_power(self):
        """The process and all that no fsync has brought to the disk are gone."""
        self.signal(signal.SIGSTOP)
        handle = os.open(self.disk, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, FS_IOC_SHUTDOWN, WITHOUT_FLUSHING.to_bytes(4, "little"))
        finally:
            os.close(handle)
        self.kill()
        command("umount", self.disk)
        self.mount()

    def free_bytes(self):
        disk = os.statvfs(self.disk)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leave):
        """Fills the disk but for `leave` bytes."""
        size = max(0, self.free_bytes() - leave)
        with open(self.filler(), "wb") as out:
            for step in (size, 0):
                try:
                    if step:
                        os.posix_fallocate(out.fileno(), 0, step)
                    elif leave == 0:
                        out.seek(0, os.SEEK_END)
                        for _ in range(4096):
                            out.write(bytes(4096))
                            out.flush()
                except OSError:
                    continue

    def empty(self):
        if self.filler().exists():
            self.emptied = time.monotonic()
            self.filler().unlink()

    def filler(self):
        return self.disk / "filler"

    def is_full(self):
        return self.filler().exists() or time.monotonic() - self.emptied < EMPTIED_SECONDS


    def watch_promises(self):
        """Starts the witness of what it promises."""
        self.witness = subprocess.Popen(
            [self.world.tools["witness"], self.world.folder / "map.json", self.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def hear_witness(self):
        """Ends it, and returns what it has to say."""
        said = self.witness.communicate(timeout=STOP_SECONDS)[0].split("\n")
        self.world.problems += [line for line in said if line.startswith("BROKEN")]
        if self.witness.returncode != 0:
            self.world.problems.append(f"the witness of {self.name} ended with "
                                       f"{self.witness.returncode}")
        return f"{self.name}: {said[-2]}"


class Proxy(Machine):
    """`relay` is the process in its namespace through which it reaches the nodes, or None."""

    relay = None

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.numbers, self.before = collections.Counter(), {}  # of consensus; a restart begins at 0

    async def note_numbers(self):
        status, text = await self.ask("/metrics")
        for name, value in _CONSENSUS.findall(text) if status == 200 else ():
            name, value = name.decode(), int(value)
            self.numbers[name] += max(0, value - self.before.get(name, 0))
            if value < self.before.get(name, 0):
                self.numbers[name] += value
            self.before[name] = value

    def make_config(self, through_relay, loops):
        world = self.world
        places = [(node.address, NODE_PORT) for node in world.nodes]
        if through_relay:
            places = [("127.0.0.1", RELAY_PORT + i) for i in range(len(world.nodes))]
            links = [f"{RELAY_PORT + i}:{node.address}:{NODE_PORT}"
                     for i, node in enumerate(world.nodes)]
            self.relay = subprocess.Popen(
                self.inside(world.tools["relay"], *links), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
            if self.relay.stdout.readline() != "ready\n":
                raise Unavailable("the relay does not start")
        own_map = world.folder / f"{self.name}.map.json"
        own_map.write_text(world.map_document(places))
        self.config.write_text(
            f'map = "{own_map}";\nlisten : {{ host = "{self.address}"; port = {HTTP_PORT}; }};\n'
            f'name = "{self.name}";\nloops = {loops};\n')

    def slow(self, node, direction, delay=0.0, jitter=0.0, rate=0):
        """delay < 0: the link stalls. direction 0: to the node, 1: back."""
        if self.relay:
            self.relay.stdin.write(f"{node} {direction} {int(delay * 1e6)} {int(jitter * 1e6)} "
                                   f"{rate}\n")
            self.relay.stdin.flush()


class World:
    def __init__(self, folder, programs, tools, tag, options):
        """tools: relay, witness. options: nodes, proxies; relays: how many proxies have one; skew:
        own clocks; witnesses: whether nodes have one;
        volumes: disks that can lose power, not tmpfs; retention: of Idempotency-Keys, seconds."""
        self.folder, self.programs, self.tools = folder, programs, tools
        self.tag, self.options = tag, options
        self.cluster_id = f"{secrets.randbits(64) | 1:016x}"
        self.volumes = options["volumes"]
        self.faketime = faketime_library() if options["skew"] else None
        self.cut = {}  # fault -> {(from, to): share of packets lost}
        self.problems = []  # processes that ended although nobody asked them to, and the like
        self.notes = []
        self.nodes = [Node(self, f"node-{i}", "quorate-node", f"10.77.0.{10 + i}")
                      for i in range(1, options["nodes"] + 1)]
        self.proxies = [Proxy(self, f"proxy-{i}", "quorate-proxy", f"10.77.0.{100 + i}")
                        for i in range(1, options["proxies"] + 1)]
        self.machines = self.nodes + self.proxies

    def collecting(self):
        """What nodes are told of deletes, if they are to be collected while the run lasts."""
        grace = self.options["grace"]
        return f"delete_grace_ms = {grace * 1000:.0f};\ncollect_every_ms = 2000;\n" if grace else ""

    def build(self):
        """Everything but the processes. The bridge is in the sandbox's own network."""
        command("ip", "link", "set", "lo", "up")
        command("ip", "link", "add", "bridge", "type", "bridge")
        command("ip", "address", "add", f"{DRIVER}/24", "dev", "bridge")
        command("ip", "link", "set", "bridge", "up")
        for machine in self.machines:
            machine.make_network()
            machine.set_clock(0)
        self.apply_cuts()  # none yet; but a machine without nft shows itself now
        self.images = self.folder / "images"
        self.images.mkdir()
        command("mount", "-t", "tmpfs", "tmpfs", self.images)
        for node in self.nodes:
            node.make_disk()
        (self.folder / "map.json").write_text(
            self.map_document([(node.address, NODE_PORT) for node in self.nodes]))
        for i, proxy in enumerate(reversed(self.proxies)):
            proxy.make_config(i < self.options["relays"], 2 if proxy is self.proxies[0] else 1)

    def map_document(self, places):
        return json.dumps({
            "cluster": self.cluster_id, "epoch": 1, "replicas": min(3, len(self.nodes)),
            "nodes": [{"name": node.name, "replica": node.replica, "host": host, "port": port}
                      for node, (host, port) in zip(self.nodes, places)],
            "proxies": [{"name": proxy.name, "host": proxy.address, "port": PEER_PORT}
                        for proxy in self.proxies],
            "namespaces": [{"id": i, "name": name, "kind": kind,
                            "idempotency_retention": self.options["retention"]}
                           for i, (name, kind) in enumerate(NAMESPACES.items(), 1)]})

    async def start(self):
        for machine in self.machines:
            machine.start()
        await self.wait_ready()
        for node in self.nodes if self.options["witnesses"] else ():
            node.watch_promises()

    async def wait_ready(self):
        """Seconds until everything says it is ready; a problem is noted if that takes too long."""
        begin = time.monotonic()
        waiting = list(self.machines)
        while waiting:
            if time.monotonic() - begin > READY_SECONDS:
                for machine in waiting:
                    self.problems.append(f"{machine.name} is not ready {READY_SECONDS} s after "
                                         f"everything was healed\n{machine.log_tail()}")
                break
            waiting = [m for m in waiting if not await m.ready()]
            if waiting:
                await asyncio.sleep(0.05)
        return time.monotonic() - begin

    async def supervise(self):
        """Restarts what ended by itself, and says so."""
        while True:
            for machine in self.machines:
                if machine.wanted and not machine.alive():
                    status = machine.process.returncode
                    if machine.is_full() and status > 0:
                        self.notes.append(f"{machine.name} ended with {status}, its disk was full")
                    else:
                        self.problems.append(f"{machine.name} ended by itself with {status}\n"
                                             f"{machine.log_tail()}")
                    await asyncio.sleep(0.5)
                    machine.start()
            await asyncio.sleep(0.1)

    def apply_cuts(self):
        """Gives every machine the packet filter that the faults under way ask for."""
        lost = {}
        for pairs in self.cut.values():
            for pair, share in pairs.items():
                lost[pair] = max(share, lost.get(pair, 0))
        for machine in self.machines:
            lines = []
            for (source, target), share in sorted(lost.items(), key=str):
                if target == machine.name:
                    chance = "" if share >= 1 else f"numgen random mod 1000 < {int(share * 1000)} "
                    lines.append(f"ip saddr {self.address(source)} {chance}counter drop")
            rules = "flush ruleset\n"
            if lines:
                rules += "\n".join(("table inet chaos {", "chain input {",
                                    "type filter hook input priority 0;", *lines, "}", "}", ""))
            if rules != machine.rules:
                command(*machine.inside("nft", "-f", "-"), text=rules)
                machine.rules = rules

    def address(self, name):
        if name == "driver":
            return DRIVER
        return next(m.address for m in self.machines if m.name == name)

    def heal(self):
        """Takes every fault back, whatever it was."""
        self.cut.clear()
        self.apply_cuts()
        for proxy in self.proxies:
            for node in range(len(self.nodes)):
                for direction in (0, 1):
                    proxy.slow(node, direction)
        for node in self.nodes:
            node.empty()
        for machine in self.machines:
            machine.set_clock(0)
            if machine.paused:
                machine.resume()
            if not machine.wanted:
                machine.start()

    def stop(self):
        """SIGTERM to everything; whoever does not end with 0 is a problem."""
        if self.options["witnesses"]:
            self.notes += [node.hear_witness() for node in self.nodes]
        for machine in self.proxies + self.nodes:
            machine.note_memory()
            machine.wanted = False
            machine.signal(signal.SIGTERM)
        for machine in self.proxies + self.nodes:
            try:
                status = machine.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                status = "nothing: it did not stop"
                machine.kill()
            if status != 0:
                self.problems.append(f"{machine.name} answered SIGTERM with {status}\n"
                                     f"{machine.log_tail()}")
            for line in machine.bad_lines():
                self.problems.append(f"{machine.name} wrote: {line}")


def faketime_library():
    for path in pathlib.Path("/usr/lib").glob("*-linux-gnu/faketime/libfaketimeMT.so.1"):
        return path
    raise Unavailable("libfaketimeMT.so.1 is missing (package faketime)")
