"use strict";
// The data, what it says about each other, and virtual time as a place on the screen.
const data = JSON.parse(document.getElementById("data").textContent);
const hosts = data.hosts.length;
const by = id => document.getElementById(id);

const opOf = new Map(data.ops.map(op => [op.stamp, op]));
const registrationOf = new Map(data.registrations.map(r => [r.stamp, r]));
data.registrations.forEach((r, index) => {
  r.index = index;
  r.label = "R" + (index + 1);
  r.keys = r.claims.map(c => c.key);
});
for (const op of data.ops) {
  op.registration = registrationOf.get(op.about);
  const r = op.registration ? op.registration.label : "";
  op.short = op.kind === "register" ? `${r} ${op.label}` : `${op.kind} ${r || op.label}`;
}
for (const letter of data.letters) letter.about = letter.ops.map(stamp => opOf.get(stamp)).filter(Boolean);
for (const moment of data.moments) moment.registration = registrationOf.get(moment.stamp);
for (const call of data.calls) {
  call.registration = call.told && registrationOf.get(call.told[2]);
  call.slot = (/request (\d+)/.exec(call.text) || [])[1];
}
// A request that got no registration in its reply is about the one that the same slot got elsewhere.
const ofSlot = new Map(data.calls.filter(c => c.registration && c.slot).map(c => [c.slot, c.registration]));
for (const call of data.calls) if (!call.registration && call.slot) call.registration = ofSlot.get(call.slot);

// What the violation's text names: registrations, ops, hosts, timestamps.
const named = { ops: new Set(), hosts: new Set(), hlcs: new Set(), registrations: new Set() };
const TOKEN =
  /(\d{13}\.\d+)@([0-9a-f]{16})|([0-9a-f]{16})#(\d+)|\b([0-9a-f]{8}-[0-9a-f-]{27})\b|(\d{13}\.\d+)|host (\d+)|\b([0-9a-f]{16})\b( issues(?: op)? (\d+))?/g;
const hostOfNode = node => data.hosts.findIndex(host => host.node === node);
const nthOp = (node, seq) => data.ops.findLast(op => op.host === hostOfNode(node) && op.seq === +seq);
function meant(match) {
  const [text, , , node, seq, id, hlc, host, other, , issued] = match;
  if (match[1]) return { op: opOf.get(text), host: hostOfNode(match[2]) };
  if (seq) return { op: nthOp(node, seq), host: hostOfNode(node) };
  if (id) return { op: opOf.get((data.registrations.find(r => r.id === id && r.fate !== "twin") || {}).stamp) };
  if (hlc) return { hlc, op: data.ops.find(op => op.hlc === hlc) };
  if (host) return { host: +host };
  return { host: hostOfNode(other), op: issued && nthOp(other, issued) };
}
for (const match of data.end.text.matchAll(TOKEN)) {
  const { op, host, hlc } = meant(match);
  if (op) {
    named.ops.add(op);
    if (op.registration) named.registrations.add(op.registration);
  }
  if (host >= 0 && host < hosts) named.hosts.add(host);
  if (hlc) named.hlcs.add(hlc);
}
const related = new Set(named.registrations);
for (const r of named.registrations) {
  const rival = other =>
    other.id === r.id || other.claims.some(c => r.claims.some(d => c.key === d.key && c.namespace === d.namespace));
  data.registrations.filter(rival).forEach(other => related.add(other));
}
const stopped = data.letters.find(letter => letter.stopped);
if (stopped)
  stopped.about.forEach(op => {
    named.ops.add(op);
    if (op.registration) related.add(op.registration);
  });
const unbound = related.size === 0;
const relates = registration => unbound || related.has(registration);

// Long stretches in which nothing but heartbeats happens take little room: a gap beyond a few latencies grows with its
// logarithm only.
const instants = [0, data.end.at];
data.ops.forEach(op => op.takes.forEach(take => instants.push(take.at, take.durable ?? take.at)));
// What is sent again to those that have it says nothing new; what is lost does.
data.letters.filter(l => l.kind === "ops" && (l.arrives === null || l.died)).forEach(l => instants.push(l.at));
data.calls.forEach(call => instants.push(call.at, call.told ? call.told[0] : call.at));
data.faults.forEach(fault => instants.push(fault.from, Math.min(fault.to, data.end.at)));
data.moments.forEach(moment => instants.push(moment.at));
if (data.healed !== null) instants.push(data.healed);
const knots = [...new Set(instants)].filter(t => t <= data.end.at).sort((a, b) => a - b);
const SHORT = Math.max(5000, 2 * data.plan.links.least);
const warped = [0];
for (let i = 1; i < knots.length; i++) {
  const gap = knots[i] - knots[i - 1];
  warped.push(warped[i - 1] + (gap <= SHORT ? gap : SHORT * (1 + 0.35 * Math.log2(gap / SHORT))));
}
function between(value, from, to) {
  let low = 0,
    high = from.length - 1;
  if (high < 1) return to[0] + value - from[0];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (from[middle] <= value) low = middle;
    else high = middle;
  }
  return to[low] + ((value - from[low]) / (from[high] - from[low])) * (to[high] - to[low]);
}
const state = { from: 0, to: 1, name: "", colour: "registration", hide: new Set(), squeeze: true };
const toPlace = t => (state.squeeze ? between(t, knots, warped) : t);
const toTime = place => (state.squeeze ? between(place, warped, knots) : place);
const last = () => toPlace(data.end.at);

// Times as words.
function span(micros) {
  if (micros < 1000) return `${micros} µs`;
  if (micros < 1e6) return `${+(micros / 1000).toFixed(2)} ms`;
  return `${+(micros / 1e6).toFixed(2)} s`;
}
const clockText = micros =>
  (micros / 1000).toLocaleString("en", { minimumFractionDigits: 3, useGrouping: false }) + " ms";

// The stretch that matters: from the first related op to the violation, or to the last word on it.
function focusSpan() {
  const ops = data.ops.filter(op => unbound || (op.registration && relates(op.registration)) || named.ops.has(op));
  let times = ops.flatMap(op => [op.at, ...op.takes.map(take => take.durable ?? take.at)]);
  times.push(...data.moments.filter(m => m.registration && relates(m.registration)).map(m => m.at));
  times.push(
    ...data.calls
      .filter(c => c.registration && relates(c.registration))
      .flatMap(c => (c.told ? [c.at, c.told[0]] : [c.at])),
  );
  if (data.end.kind !== "well") times.push(data.end.at);
  if (ops.length === 0 && unbound)
    times = data.end.kind === "well" ? [0, data.end.at] : [Math.max(0, data.end.at - 1.5e6), data.end.at];
  if (times.length < 2) times.push(Math.max(0, times[0] - 1e6));
  // Where all of it is one moment, what the named hosts did before belongs to it.
  if (data.end.kind !== "well" && toPlace(Math.max(...times)) - toPlace(Math.min(...times)) < 2 * SHORT)
    times.push(...before());
  const [from, to] = [toPlace(Math.min(...times)), toPlace(Math.max(...times))];
  const pad = Math.max((to - from) * 0.05, SHORT / 4);
  return [Math.max(-pad, from - pad), to + pad * 1.6];
}

function before() {
  const mine = data.ops.filter(op => named.hosts.has(op.host)).map(op => op.at);
  const process = data.moments.filter(m => !m.stamp && m.at > 0 && m.kind !== "connected" && named.hosts.has(m.host));
  return [...mine.slice(-4), ...process.map(m => m.at).slice(-4)];
}

function matches(registration) {
  const terms = state.name
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  return (
    terms.length === 0 ||
    (!!registration &&
      terms.some(
        term =>
          registration.label.toLowerCase() === term || registration.keys.some(key => key.toLowerCase().includes(term)),
      ))
  );
}
