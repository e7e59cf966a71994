"""Timelines: what clients append, what pages show of it, and whether the two agree in the end."""
import asyncio
import json
import urllib.parse

from wire import Refused

APPENDS_PER_TIMELINE = 300
TRIES = 8  # of an append with an Idempotency-Key
PAGE = 50
SECONDS = 3.0
MILLISECONDS = 700


class Timeline:
    """What is known of one timeline. Values are fresh texts: each names its append."""

    def __init__(self, name):
        self.name = name
        self.acknowledged = {}  # value -> id of its entry
        self.maybe = set()  # values without a definite answer
        self.complete = None  # the youngest complete-before that a page said, and...
        self.before = {}  # ...id -> value of all that is older

    def path(self, query):
        return f"/v1/timelines/social/{self.name}?{urllib.parse.urlencode(query)}"


class Timelines:
    """The workload's shared side."""

    def __init__(self, load):
        self.load, self.all = load, []

    def fresh(self, group):
        self.all.append(Timeline(f"timeline-{group}-{len(self.all)}"))
        return self.all[-1]

    def count(self, op, outcome):
        counts = self.load.outcomes
        counts[op, outcome] = counts.get((op, outcome), 0) + 1

    async def append(self, client, timeline, level, is_keyed):
        value = self.load.fresh()
        fields = [("Content-Type", "text/plain")]
        if is_keyed:
            fields.append(("Idempotency-Key", f'"append-{value}"'))
        path = timeline.path({"level": level, "timeout": f"{MILLISECONDS}ms"})
        for _ in range(TRIES if is_keyed else 1):
            try:
                answer = await client.connections.ask(client.proxy, "POST", path, fields,
                                                      value.encode(), SECONDS)
            except Refused:
                client.wander()
                await asyncio.sleep(0.05)
                continue
            if answer and answer.status == 201:
                timeline.maybe.discard(value)
                timeline.acknowledged[value] = answer.header(b"location").rpartition("/")[2]
                self.count("write", "ok")
                return
            if answer is None or answer.problem().get("outcome") != "not-applied":
                timeline.maybe.add(value)
            if answer and answer.status < 500 and answer.status != 429:
                self.load.problems.append(f"an append was answered {answer.status} {answer.body}")
            client.wander()
            await asyncio.sleep(self.load.random.uniform(0.01, 0.2))
        self.count("write", "unknown" if value in timeline.maybe else "not-applied")

    async def page(self, client, timeline, query, proxy=None):
        """The document; None if there was no answer."""
        try:
            answer = await client.connections.ask(client.proxy if proxy is None else proxy, "GET",
                                                  timeline.path(query), seconds=SECONDS)
        except Refused:
            client.wander()
            await asyncio.sleep(0.05)
            return None
        if answer is None or answer.status not in (200, 404):
            client.wander()
            self.count("read", "unknown")
            return None
        self.count("read", "ok")
        return json.loads(answer.body) if answer.status == 200 else {"entries": [], "before": None}

    async def whole(self, client, timeline, level, proxy=None):
        """All entries, newest first, and the first page's complete-before; None if a page fails."""
        entries, complete, query = [], None, {"limit": PAGE, "level": level}
        while True:
            page = await self.page(client, timeline, query, proxy)
            if page is None:
                return None
            if "before" not in query:
                complete = page.get("complete-before")
            entries += page["entries"]
            if not page["before"]:
                return entries, complete
            query["before"] = page["before"]

    def judge_complete(self, timeline, entries, complete):
        """No entry older than a complete-before that was said earlier may appear."""
        if timeline.complete is not None:
            for entry in entries:
                if entry["id"][:32] <= timeline.complete and entry["id"] not in timeline.before:
                    self.load.problems.append(
                        f"{timeline.name}: entry {entry['id']} appeared after a page had said "
                        f"complete-before {timeline.complete}")
        if complete is not None and (timeline.complete is None or complete > timeline.complete):
            timeline.complete = complete
            timeline.before = {e["id"]: e["value"] for e in entries if e["id"][:32] <= complete}

    def judge_all(self, timeline, entries):
        ids = [entry["id"] for entry in entries]
        values = [entry["value"] for entry in entries]
        problems = self.load.problems
        if ids != sorted(set(ids), reverse=True):
            problems.append(f"{timeline.name}: entries are not in their order")
        if len(set(values)) != len(values):
            problems.append(f"{timeline.name}: an append is there twice")
        for value in timeline.acknowledged.keys() - set(values):
            problems.append(f"{timeline.name}: {value}, which was acknowledged as entry "
                            f"{timeline.acknowledged[value]}, is gone")
        for value in set(values) - timeline.acknowledged.keys() - timeline.maybe:
            problems.append(f"{timeline.name}: nobody appended {value}")

    async def insist(self, client, timeline, level, proxy):
        for _ in range(20):
            found = await self.whole(client, timeline, level, proxy)
            if found is not None:
                return found
            await asyncio.sleep(0.25)
        self.load.problems.append(f"after everything was healed, {timeline.name} cannot be read")
        return None

    async def read_everything(self):
        """Once all replicas are the same, every proxy shows every timeline whole at any level."""
        client = self.load.client()
        for timeline in self.all:
            for proxy in range(len(self.load.proxies)):
                for level in ("quorum", "eventual"):
                    found = await self.insist(client, timeline, level, proxy)
                    if found is None:
                        return
                    self.judge_complete(timeline, *found)
                    self.judge_all(timeline, found[0])

    def summary(self):
        return {"timelines": len(self.all),
                "acknowledged": sum(len(t.acknowledged) for t in self.all),
                "unknown": sum(len(t.maybe) for t in self.all),
                "with a complete-before": sum(t.complete is not None for t in self.all)}


class TimelineGroup:
    """A few clients and the timeline that they append to at the moment."""

    def __init__(self, load, number):
        self.load, self.number, self.random = load, number, load.random
        self.timeline, self.left = None, 0

    async def run(self, client):
        while not self.load.stopping:
            await self.load.turn()
            await self.act(client)

    async def act(self, client):
        timelines = self.load.timelines
        if self.left == 0:
            self.timeline, self.left = timelines.fresh(self.number), APPENDS_PER_TIMELINE
        timeline, dice = self.timeline, self.random.random()
        if self.random.random() < 0.1:
            client.wander()
        if dice < 0.85:
            self.left -= 1
            level = "eventual" if self.random.random() < 0.6 else "strong"
            await timelines.append(client, timeline, level, self.random.random() < 0.3)
        elif dice < 0.98:
            await timelines.page(client, timeline, {"limit": PAGE, "level": "eventual"})
        else:
            found = await timelines.whole(client, timeline, "quorum")
            if found:
                timelines.judge_complete(timeline, *found)
