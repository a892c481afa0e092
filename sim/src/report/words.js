// The same as words: what is pointed at, the violation, the order of events, the table of registrations.
const registrationWords = r => `${r.label} (${r.keys.join("+")} for ${r.owner}, host ${r.host}, ${r.stamp})`;
const safely = take =>
  take.durable !== null
    ? `durable ${span(take.durable - take.at)} later`
    : take.lost !== null
      ? `lost by the crash at ${clockText(take.lost)}`
      : "not durable by the end";
function opWords(op, take, issued) {
  const claims =
    op.kind === "register"
      ? "\n" +
        op.registration.claims
          .map(c => `${c.namespace}/${c.key}${c.after ? ` after ${labelOf(c.after)}` : ""}`)
          .join(", ") +
        (op.registration.expires ? `\nreserved until ${op.registration.expires}` : "") +
        `\nfate by the oracle: ${fateWords(op.registration)}`
      : "";
  return `${clockText(take.at)} host ${take.host} ${issued ? "issues" : "takes"} ${op.short} (#${op.seq} of host ${op.host}, ${op.hlc})${claims}\nin memory; ${safely(take)}`;
}
const labelOf = stamp => (registrationOf.has(stamp) ? registrationOf.get(stamp).label : stamp);
function letterWords(letter) {
  const fate = letter.stopped
    ? "must not be sent yet"
    : letter.arrives === null
      ? "lost"
      : letter.died
        ? `dies with its connection at ${clockText(letter.arrives)}`
        : `arrives at ${clockText(letter.arrives)}, after ${span(letter.arrives - letter.at)}`;
  const what = letter.about.length ? letter.about.map(op => op.short).join(", ") + "\n" : "";
  return `${clockText(letter.at)} host ${letter.from} → host ${letter.to}, ${fate}\n${what}${letter.text
    .replace(/^vector/, "acknowledgement, promises:")
    .replace(/, host/g, "\n  host")
    .replace(/; host/g, "\n  host")}`;
}
const stoppedWords = letter =>
  `may not say to host ${letter.to}: ` +
  (letter.about.length
    ? letter.about.map(op => op.short).join(", ")
    : letter.promise
      ? `promise ${letter.promise}`
      : letter.text);
const momentWords = m =>
  `${clockText(m.at)} host ${m.host}: ${m.registration ? registrationWords(m.registration) + " " : ""}${m.text}`;
const callWords = call =>
  `${clockText(call.at)} a client of host ${call.host}${call.down ? ", which is down" : ""}: ${call.text}` +
  (call.told ? `\n${clockText(call.told[0])} told: ${call.told[1]}` : call.down ? "" : "\nno reply");
function watermarkWords(host, at, clock) {
  const below = data.registrations.filter(
    (r, index) => passing[host][index] !== undefined && passing[host][index] <= at,
  );
  return `watermark of host ${host} since ${clockText(at)}: ${clockText(clock)}, ${span(at - clock)} behind then\n${below.length} of ${data.registrations.length} registrations lie at or below it: ${below
    .slice(-30)
    .map(r => r.label)
    .join(" ")}`;
}
const wasLost = r => opOf.get(r.stamp).takes.some(take => take.lost !== null);
function fateWords(r) {
  const lost = r.lost_to.map(labelOf).join(", ");
  const ended = r.ended.length && r.fate === "won" ? `, ended: ${r.ended.join(", ")}` : "";
  return {
    won: "holds its names" + ended,
    lost: `lost to ${lost || "nobody: what it follows is displaced"}`,
    twin: `a later twin of ${lost}`,
    gone: wasLost(r) ? "gone: a crash took it before anybody was told" : "the run ended with it",
  }[r.fate];
}
const element = (tag, words, kind) => {
  const node = document.createElement(tag);
  if (words !== undefined) node.textContent = words;
  if (kind) node.className = kind;
  return node;
};

function writeHead() {
  const { end, plan } = data;
  const cluster = `${hosts} node${hosts > 1 ? "s" : ""}, ${data.ops.length} op${data.ops.length === 1 ? "" : "s"}, ${plan.faults.length} fault${plan.faults.length === 1 ? "" : "s"}, ${span(end.at)} of virtual time`;
  by("title").textContent =
    `Seed ${plan.seed}: ${end.kind === "well" ? "all well" : { safety: "a rule was broken", liveness: "something never happened", panic: "the replica panicked" }[end.kind]}. ${data.whole_seed ? "" : "A shrunk or hand-written plan: "}${cluster}.`;
  by("command").textContent =
    `cargo run --release -p forename-sim -- ${data.whole_seed ? `run --seed ${plan.seed}` : "replay plan.json"}`;
  by("plan").textContent = JSON.stringify(plan, null, 1);
  if (end.kind === "well") return;
  by("violation").hidden = false;
  by("meaning").textContent = `${end.meaning} Broken at ${clockText(end.at)} (check “${end.check}”):`;
  let rest = 0;
  for (const match of end.text.matchAll(TOKEN)) {
    by("text").append(end.text.slice(rest, match.index));
    rest = match.index + match[0].length;
    const { op, host } = meant(match);
    if (!op && !(host >= 0)) {
      by("text").append(match[0]);
      continue;
    }
    const short = op ? (op.kind === "register" ? op.registration.label : `host ${op.host}#${op.seq}`) : `host ${host}`;
    const button = element("button", match[0].startsWith("host") ? match[0] : `${match[0]} = ${short}`);
    button.onclick = () => {
      if (op) centre(op.at, op.host);
      else if (host >= 0) by("lanes").children[host].scrollIntoView({ block: "center" });
    };
    by("text").append(button);
  }
  by("text").append(end.text.slice(rest));
}

function storyOf() {
  const story = [];
  const tell = (at, host, words, registration, wrong) => story.push({ at, host, words, registration, wrong });
  const mine = registration => registration && (state.name.trim() ? matches(registration) : relates(registration));
  for (const call of data.calls.filter(call => mine(call.registration))) {
    tell(
      call.at,
      call.host,
      `a client asks: ${call.text}` + (call.down ? ", but the node is down" : ""),
      call.registration,
    );
    if (call.told) tell(call.told[0], call.host, `tells the client: ${call.told[1]}`, call.registration);
  }
  for (const op of data.ops.filter(op => mine(op.registration) || named.ops.has(op) || (unbound && !state.name.trim())))
    op.takes.forEach(take => {
      const issued = take.host === op.host && take === op.takes.find(t => t.host === op.host);
      tell(
        take.at,
        take.host,
        `${issued ? "issues" : "learns of"} ${op.short}, ${safely(take)}`,
        op.registration,
        named.ops.has(op) && issued,
      );
    });
  const first = Math.min(toTime(focusSpan()[0]), ...story.map(line => line.at));
  for (const m of data.moments)
    if (m.kind !== "accepted" && m.kind !== "connected" && (m.stamp ? mine(m.registration) : m.at >= first))
      tell(m.at, m.host, (m.registration ? m.registration.label + " " : "") + m.text, m.registration);
  for (const l of data.letters.filter(
    l => l.stopped || ((l.arrives === null || l.died) && l.about.some(op => mine(op.registration))),
  ))
    tell(
      l.at,
      l.from,
      l.stopped
        ? `is about to say to host ${l.to}: ${l.text}`
        : `sends ${l.about.map(op => op.short).join(", ")} to host ${l.to}: lost`,
      l.about[0] && l.about[0].registration,
      l.stopped,
    );
  for (const fault of data.faults)
    if (fault.until >= first)
      tell(fault.from, null, fault.text + (fault.until > fault.from ? `, for ${span(fault.until - fault.from)}` : ""));
  data.registrations.forEach((r, index) => {
    if (mine(r))
      passing.forEach((times, host) => {
        if (times[index] !== undefined) tell(times[index], host, `its watermark passes ${r.label}`, r);
      });
  });
  if (data.healed !== null) tell(data.healed, null, "everything is healed");
  if (data.end.kind !== "well") tell(data.end.at + 1, null, `${data.end.check}: ${data.end.text}`, null, true);
  return story.sort((a, b) => a.at - b.at);
}

const STORY = 250;
function writeStory() {
  const story = storyOf();
  by("story").tBodies[0].replaceChildren();
  by("story-of").textContent = state.name.trim()
    ? `of ${state.name.trim()}`
    : unbound
      ? ""
      : `of ${[...related].map(r => r.label).join(", ")}: what the violation names and who wanted the same`;
  const shown = story.length <= STORY ? story : data.end.kind === "well" ? story.slice(0, STORY) : story.slice(-STORY);
  if (shown.length < story.length)
    by("story-of").textContent +=
      ` (the ${data.end.kind === "well" ? "first" : "last"} ${STORY} of ${story.length} lines)`;
  for (const { at, host, words, registration, wrong } of shown) {
    const row = element("tr", undefined, wrong ? "wrong" : undefined);
    const time = element("button", clockText(Math.min(at, data.end.at)));
    time.onclick = () => {
      centre(at, host);
      by("picture").scrollIntoView({ block: "nearest" });
    };
    const cell = element("td");
    cell.append(time);
    row.append(cell, element("td", host === null ? "" : `host ${host}`));
    const what = element("td", words);
    if (registration && !wrong) what.style.color = colourOf(registration);
    row.append(what);
    by("story").tBodies[0].append(row);
  }
}

function writeRegistrations() {
  const table = by("registrations");
  const head = element("tr");
  for (const words of [
    "",
    "names",
    "owner",
    "claimed",
    "stamp",
    "by the oracle",
    ...data.hosts.map((_, host) => `host ${host}`),
    "clients were told",
  ])
    head.append(element("th", words));
  table.tHead.append(head);
  for (const r of data.registrations) {
    const row = element("tr", undefined, named.registrations.has(r) ? "named" : undefined);
    const chip = element("td", r.label, "chip");
    chip.style.color = colourOf(r);
    const op = opOf.get(r.stamp);
    const names =
      r.claims
        .map(
          c =>
            (c.namespace === "username" ? "" : c.namespace + "/") +
            c.key +
            (c.after ? ` (after ${labelOf(c.after)})` : ""),
        )
        .join(", ") + (r.replaces ? `, in place of ${r.replaces[1]} of ${labelOf(r.replaces[0])}` : "");
    row.append(
      chip,
      element("td", names),
      element("td", r.owner),
      element("td", `${clockText(op.at)}, host ${r.host}`),
      element("td", r.stamp),
      element("td", fateWords(r), r.fate),
    );
    r.hosts.forEach((word, host) => {
      const knows = op.takes.some(take => take.host === host && take.lost === null);
      const name = word ? { accepted: "pending" }[word[0]] || word[0] : knows ? "pending" : "unknown";
      row.append(element("td", word ? `${name} at ${clockText(word[1])}` : name, name));
    });
    const told = data.calls
      .filter(call => call.told && call.told[2] === r.stamp)
      .map(call => `${call.told[1].replace(/.* is /, "")} (host ${call.host}, ${clockText(call.told[0])})`);
    row.append(
      element("td", told.length > 4 ? `${told.slice(-4).join("; ")} and ${told.length - 4} before` : told.join("; ")),
    );
    table.tBodies[0].append(row);
  }
}
