"""What became of a write: two clients at once have it resolved, through different proxies.

Their answers must agree. What they say takes the place of `unknown` in the history, so that the
checker judges whether it is true.
"""
import asyncio
import json
import time

from wire import Connections, Refused

RESOLVE_MS = 700
PATIENCE_SECONDS = 2.0
ASK_AFTERWARDS = 0.25  # of the decisions: what GET says of the operation
SEND_AGAIN = 0.5  # of the fenced ones with an Idempotency-Key


class Decision:
    def __init__(self, document, moment):
        self.state, self.code = document["state"], document.get("code")
        self.etag = (document.get("etag") or "").strip('"')
        self.value, self.time = document.get("value"), moment

    def is_definite(self):
        return self.state in ("applied", "not-applied")

    def what(self):
        return self.state, self.code, self.etag, self.value


async def resolve(load, wish, link, seconds):
    """Returns the Decision, None if nobody could decide within `seconds`."""
    count = len(load.proxies)
    first = load.random.randrange(count)
    second = (first + load.random.randrange(1, max(2, count))) % count
    tally = load.tallies[wish.key.workload]
    tally["resolves"] += 1
    both = await asyncio.gather(*(_insist(load, link, proxy, time.monotonic() + seconds)
                                  for proxy in (first, second)))
    decisions = [d for d in both if d]
    definite = sorted((d for d in decisions if d.is_definite()), key=lambda d: d.time)
    if len({d.what() for d in definite}) > 1:
        load.problems.append(f"two resolvers of {link} disagree: "
                             f"{' and '.join(str(d.what()) for d in definite)}")
    if definite and load.random.random() < ASK_AFTERWARDS:
        await _ask_afterwards(load, link, definite[0])
    if definite and wish.name and definite[0].code == "operation-fenced" \
            and load.random.random() < SEND_AGAIN:
        await _send_again(load, wish)
    if definite:
        return definite[0]
    return decisions[0] if decisions else None


async def _insist(load, link, proxy, until):
    """Asks again, elsewhere, until there is an answer."""
    connections = Connections(load.proxies)
    try:
        while time.monotonic() < until:
            try:
                answer = await connections.ask(
                    proxy, "POST", f"{link}:resolve?timeout={RESOLVE_MS}ms",
                    seconds=RESOLVE_MS / 1000 + PATIENCE_SECONDS)
            except Refused:
                answer = None
            if answer and answer.status == 200:
                return Decision(json.loads(answer.body), answer.time)
            if answer and answer.status != 429 and answer.status < 503:
                load.problems.append(f":resolve of {link} was answered {answer.status}: "
                                     f"{answer.body!r}")
            full = answer is not None and answer.status == 429
            proxy = load.random.randrange(len(load.proxies))
            await asyncio.sleep(load.random.uniform(0.5, 1) if full else
                                load.random.uniform(0.02, 0.3))
    finally:
        connections.close()
    return None


async def _ask_once(load, method, path, fields=(), body=b""):
    connections = Connections(load.proxies)
    try:
        return await connections.ask(load.random.randrange(len(load.proxies)), method, path, fields,
                                     body, RESOLVE_MS / 1000 + PATIENCE_SECONDS)
    except Refused:
        return None
    finally:
        connections.close()


async def _ask_afterwards(load, link, decision):
    """GET may have forgotten it by now, but never contradicts."""
    answer = await _ask_once(load, "GET", f"{link}?timeout={RESOLVE_MS}ms")
    if answer is None or answer.status != 200:
        return
    said = Decision(json.loads(answer.body), answer.time)
    if said.state != "unknown" and said.what() != decision.what():
        load.problems.append(f"GET {link} says {said.what()} after it was resolved as "
                             f"{decision.what()}")


async def _send_again(load, wish):
    answer = await _ask_once(load, *wish.request(RESOLVE_MS))
    if answer and answer.status < 500 and answer.status not in (409, 429):
        load.problems.append(f"a fenced {wish.op} of {wish.key.name} was sent again and answered "
                             f"{answer.status}: {answer.body!r}")
    elif answer and answer.status == 409:
        load.tallies[wish.key.workload]["fenced and sent again"] += 1


def settle(load, wish, record, decision):
    """Gives the record the outcome that was decided, or holds it against the one it has."""
    tally = load.tallies[wish.key.workload]
    tally[f"resolved: {decision.state}"] += 1
    if not decision.is_definite():
        return
    outcome = "ok" if decision.state == "applied" else "not-applied"
    if decision.code in ("precondition-failed", "counter-bound"):
        outcome = "failed"
    if record["outcome"] != "unknown":
        if record["outcome"] != outcome:
            load.problems.append(f"a {wish.op} of {wish.key.name} was {record['outcome']}, and "
                                 f"resolved as {decision.what()}")
        return
    record.update(outcome=outcome)
    record["return"] = decision.time
    if decision.etag:
        record["version"] = decision.etag
    if decision.value is not None:
        record["seen"] = decision.value
