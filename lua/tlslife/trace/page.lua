-- tlslife.trace.page: the HTML page that shows a trace. It is written as head, the trace's JSON
-- lines in a script element, and tail. It loads nothing from anywhere. docs/trace.md shows what it
-- draws.
--
-- The page keeps a window of time. Positions come from a map of time to units, which is linear or
-- shortens the gaps in which nothing happens. Only what is in the window is drawn, so a window of
-- minutes costs as much as one of microseconds.

local page = {}

page.head = [==[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tlslife trace</title>
<style>
:root { color-scheme: light dark; --back: #fff; --ink: #1b1f24; --dim: #6a737d; --rule: #d8dee4;
  --shade: #f3f5f8; --client: #0b62c4; --server: #8a4b00; --message: #24292f; --full: #0b62c4;
  --resumed: #177a34; --bad: #c62828; --wait: #e2a400; --call: #9db8d9; --tie: #177a34;
  --focus: #d6336c; --new: #c3ccd6; --flight: #eef3fb; }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --ink: #e3e8ee; --dim: #8b96a3;
  --rule: #2c343e; --shade: #1a2028; --client: #6cb0ff; --server: #e5a15a; --message: #c9d4e0;
  --full: #6cb0ff; --resumed: #5fd07e; --bad: #ff6b6b; --wait: #e2b93b; --call: #3d5878;
  --tie: #5fd07e; --focus: #ff7eb0; --new: #5b6875; --flight: #1a2431; } }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: grid; grid-template: auto 1fr / 1fr 22rem; background: var(--back);
  color: var(--ink); font: 13px/1.4 system-ui, sans-serif; }
header { grid-column: 1 / 3; display: flex; flex-wrap: wrap; gap: .6rem; align-items: center;
  padding: .4rem .8rem; border-bottom: 1px solid var(--rule); }
header h1 { font-size: 14px; margin: 0 .4rem 0 0; }
button, input, select { font: inherit; color: inherit; background: var(--shade);
  border: 1px solid var(--rule); border-radius: 4px; padding: .15rem .5rem; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 1px; }
main { overflow: hidden; position: relative; min-height: 0; }
svg { display: block; width: 100%; height: 100%; touch-action: none; }
aside { border-left: 1px solid var(--rule); overflow: auto; padding: .6rem .8rem; }
aside h2 { font-size: 13px; margin: .2rem 0; }
aside dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .7rem; margin: .3rem 0; }
aside dt { color: var(--dim); } aside dd { margin: 0; overflow-wrap: anywhere; }
kbd { border: 1px solid var(--rule); border-radius: 3px; padding: 0 .25rem; font-size: 11px; }
text { fill: var(--ink); font: 11px system-ui, sans-serif; paint-order: stroke;
  stroke: var(--back); stroke-width: 3px; stroke-linejoin: round; pointer-events: none; }
text.dim { fill: var(--dim); }
.client { stroke: var(--client); } .server { stroke: var(--server); }
.line { stroke-width: 1.5; } .far { stroke-dasharray: 3 3; opacity: .6; }
.message { stroke: var(--message); stroke-width: 1.2; fill: none; }
.alert { stroke: var(--bad); stroke-width: 1.4; fill: none; }
.notify { stroke: var(--dim); stroke-width: 1.4; fill: none; }
.data { stroke: var(--dim); stroke-width: 1; fill: none; stroke-dasharray: 5 3; }
.call { fill: var(--call); } .call.failed { fill: var(--bad); } .wait { fill: var(--wait); }
.between { opacity: .55; }
.flight { fill: var(--flight); } .tie { stroke: var(--tie); stroke-width: 1.5; fill: none;
  stroke-dasharray: 2 3; }
.life.full { fill: var(--full); } .life.resumed { fill: var(--resumed); }
.life.failed { fill: var(--bad); } .life.none { fill: var(--dim); }
.mask1 { fill: #7aa7d9; } .mask2 { fill: #c79a5b; } .mask3 { fill: #4b5a68; }
.session-good { fill: var(--resumed); } .session-bad { fill: var(--bad); }
.session-new { fill: var(--new); }
.tick { stroke: var(--rule); } .gap { stroke: var(--wait); stroke-dasharray: 2 2; }
.lane-head { fill: var(--shade); stroke: var(--rule); }
.lane-head.thin { stroke: none; } .lane-head.thin.full { fill: var(--full); }
.lane-head.thin.resumed { fill: var(--resumed); } .lane-head.thin.failed { fill: var(--bad); }
.lane.chosen .lane-head { stroke: var(--focus); } .column { fill: var(--shade); opacity: .7; }
.narrow .message, .narrow .notify, .narrow .alert { stroke-width: .7; }
.chosen-event { stroke: var(--focus) !important; stroke-width: 3; }
.hit { stroke: transparent; stroke-width: 9; fill: none; pointer-events: stroke; }
#empty { padding: 2rem; color: var(--dim); }
@page { margin: 1cm; }
@media print { body { display: block; } header button, header label, aside { display: none; }
  main { height: 23cm; } }
@media (max-width: 52rem) { body { grid-template: auto 1fr 12rem / 1fr; } header { grid-column: 1; }
  aside { border-left: 0; border-top: 1px solid var(--rule); } }
</style>
</head>
<body>
<header>
<h1>tlslife trace</h1><span id="summary"></span>
<label>Filter <input id="filter" type="search" placeholder="name, number, resumed, failed"
 size="26"></label>
<label>Time <select id="mode"><option value="compact">without gaps</option>
<option value="linear">linear</option><option value="own">each from its start</option>
</select></label>
<label>Lanes <select id="width"><option value="auto">fit</option><option value="wide">wide</option>
</select></label>
<button id="in" title="zoom in: +">+</button><button id="out" title="zoom out: -">−</button>
<button id="fit" title="show all: f">all</button>
<button id="print" title="print: p">print</button>
</header>
<main><svg id="plot" tabindex="0" role="application"
 aria-label="The connections: each a lane between client and server, time downwards"></svg></main>
<aside><div id="details" aria-live="polite"></div>
<div class="keys"><h2>Keys</h2>
<p><kbd>←</kbd> <kbd>→</kbd> connection, <kbd>↑</kbd> <kbd>↓</kbd> <kbd>Home</kbd>
<kbd>End</kbd> event,
<kbd>+</kbd> <kbd>−</kbd> zoom, <kbd>f</kbd> all, <kbd>Page ↑</kbd> <kbd>Page ↓</kbd> move,
<kbd>m</kbd> time, <kbd>w</kbd> lanes, <kbd>/</kbd> filter, <kbd>p</kbd> print</p>
<h2>Signs</h2><p>Bars beside a line are calls; yellow are waits, within a call, or thin between
calls of a program that waits by itself. The strips are the
shutdown mask (light: sent or received, dark: both) and the session in use (grey: not resumable
yet, green: resumable, red: not any more). Green dots tie a resumed connection to the one whose
session it used. Shaded: a flight. An arrow that stops half-way has not come.</p>
</div></aside>
<script type="application/x-ndjson" id="trace">
]==]

page.tail = [==[</script>
<script>
"use strict";
const $ = id => document.getElementById(id);
const svg = $("plot"), NS = "http://www.w3.org/2000/svg";
const all = $("trace").textContent.trim().split("\n").map(line => JSON.parse(line));
const head = all[0] || {}, end = all.find(e => e.kind === "end");
const events = all.filter(e => e.conn !== undefined && e.kind !== "bytes" && e.kind !== "keylog");

/* ---- connections, and lanes: a connection whose both ends are here has one lane */
const conns = new Map();
let lost = 0;
for (const e of events) {
  if (!conns.has(e.conn)) conns.set(e.conn, {id: e.conn, side: e.side, events: []});
  conns.get(e.conn).events.push(e);
  lost += e.lost || 0;
}
if (end && end.lost > lost) lost = end.lost;
for (const c of conns.values()) {
  const hello = c.events.find(e => e.kind === "message" && e.name === "ClientHello");
  c.hello = hello; c.random = hello && hello.random;
  c.done = c.events.filter(e => e.kind === "handshake").pop();
  c.failed = c.events.some(e => e.kind === "alert" && e.fatal) || c.events.some(e =>
    e.kind === "call" && (e.status === "error" || e.status === "truncated"));
  c.peer = (c.events.find(e => e.name === "transport") || {}).peer;
}
const lanes = [];
for (const c of conns.values()) {
  const there = c.random && lanes.find(l => l.random === c.random && !l[c.side]);
  if (there) there[c.side] = c;
  else lanes.push({random: c.random, [c.side]: c});
}
for (const l of lanes) {
  l.ends = [l.client, l.server].filter(Boolean);
  l.first = Math.min(...l.ends.map(c => c.events[0].at));
  l.last = Math.max(...l.ends.map(c => c.events[c.events.length - 1].at));
  l.done = l.ends.map(c => c.done).find(Boolean);
  l.hello = l.ends.map(c => c.hello).find(Boolean);
  l.resumed = l.ends.some(c => c.done && c.done.outcome === "resumed");
  l.failed = l.ends.some(c => c.failed);
  l.result = l.failed ? "failed" : !l.done ? "none" : l.resumed ? "resumed" : "full";
  l.name = (l.hello && l.hello.server_name) || l.ends.map(c => c.peer).find(Boolean) || "";
  l.number = l.ends.map(c => "#" + c.id).join("–");
  l.label = [l.number, l.name, l.done ? l.done.version : "", l.result].join(" ");
  l.events = l.ends.flatMap(c => c.events).sort((a, b) => a.at - b.at);
  l.arrows = pairUp(l);
}
lanes.sort((a, b) => a.first - b.first);

function isArrow(e) { return e.kind === "message" || e.kind === "alert" ||
  (e.kind === "call" && (e.name === "read" || e.name === "write") && e.bytes &&
    e.status === "ok"); }
function goes(e) { return e.kind === "call" ? e.name === "write" : e.sent; }

/* An arrow goes from where a message was sent to where it came, if both are known. */
function pairUp(lane) {
  const arrows = [], waiting = {client: [], server: []};
  for (const e of lane.events) {
    if (!isArrow(e)) continue;
    const from = goes(e) ? e.side : e.side === "client" ? "server" : "client";
    const data = e.kind === "call", key = data ? "data" : e.kind + e.name;
    if (!goes(e)) {
      const at = waiting[from].findIndex(a => a.key === key);
      if (at >= 0) { waiting[from].splice(at, 1)[0].came = e; continue; }
      if (lane[from]) continue;
    }
    const arrow = {key, from, data, event: e, sent: goes(e) ? e : null, came: goes(e) ? null : e};
    arrows.push(arrow);
    if (goes(e)) waiting[from].push(arrow);
  }
  let flight = 0, before = null;
  for (const a of arrows) {
    if (a.data) { before = null; continue; }
    if (a.from !== before) flight++;
    before = a.from; a.flight = flight;
  }
  return arrows;
}

/* ---- ties: who made the session that a resumed connection used */
const makers = new Map(), ties = [];
for (const l of lanes) for (const e of l.events) {
  if (e.kind !== "message") continue;
  const tag = e.name === "NewSessionTicket" ? e.ticket
    : e.name === "ServerHello" ? e.session_id : null;
  if (tag && !makers.has(tag)) makers.set(tag, {lane: l, at: e.at});
}
for (const l of lanes) {
  if (!l.resumed || !l.hello) continue;
  const offered = [].concat(l.hello.psk || [], l.hello.ticket || [], l.hello.session_id || []);
  const maker = offered.map(t => makers.get(t)).find(m => m && m.lane !== l && m.at <= l.hello.at);
  if (maker) { ties.push({from: maker, to: l}); l.tie = maker.lane; }
}

/* ---- time */
const view = {mode: "compact", top: 0, scale: 1, left: 0, width: "auto", fitted: true};
const start = lanes.length ? lanes[0].first : 0;
let shown = lanes, times = [0, 1], units = [0, 1], chosen = null, chosenEvent = null;
const TOP = 46, AXIS = 78;

function measure() {
  const seen = new Set();
  for (const l of shown) for (const e of l.events) {
    seen.add(e.at - own(l));
    if (e.since) seen.add(e.since - own(l));
  }
  times = [...seen].sort((a, b) => a - b);
  if (times.length < 2) times = [times[0] || 0, (times[0] || 0) + 1];
  units = [0];
  for (let i = 1; i < times.length; i++) {
    const gap = times[i] - times[i - 1];
    const unit = view.mode === "linear" ? gap / 1000 : 3 + 4 * Math.log10(1 + gap / 1000);
    units.push(units[i - 1] + unit);
  }
}
function place(t) { /* in units */
  let a = 0, b = times.length - 1;
  if (t <= times[0]) return 0;
  if (t >= times[b]) return units[b];
  while (b - a > 1) { const m = (a + b) >> 1; if (times[m] <= t) a = m; else b = m; }
  return units[a] + (units[b] - units[a]) * (t - times[a]) / (times[b] - times[a]);
}
function moment(unit) {
  let a = 0, b = units.length - 1;
  if (unit <= 0) return times[0];
  if (unit >= units[b]) return times[b];
  while (b - a > 1) { const m = (a + b) >> 1; if (units[m] <= unit) a = m; else b = m; }
  return times[a] + (times[b] - times[a]) * (unit - units[a]) / ((units[b] - units[a]) || 1);
}
/* With "each from its start" a lane's times count from its own first event. */
let shift = 0;
const own = lane => view.mode === "own" ? lane.first - start : 0;
const y = t => TOP + (place(t - shift) - view.top) * view.scale;
const size = () => ({w: svg.clientWidth || 1000, h: svg.clientHeight || 700});
const total = () => units[units.length - 1];

function fit() {
  view.left = 0; view.top = 0; view.fitted = true;
  view.scale = (size().h - TOP - 14) / (total() || 1);
  if (shown.length <= 2 && view.mode === "compact" && view.scale < 1.6) view.scale = 1.6;
}
function clamp() {
  const room = (size().h - TOP - 14) / view.scale;
  view.top = Math.max(0, Math.min(view.top, total() - room));
  if (room >= total()) view.top = 0;
  view.left = Math.max(0, Math.min(view.left, shown.length * laneWidth() - size().w + AXIS));
}
function zoom(by, at) {
  const h = size().h, mid = at === undefined ? h / 2 : at;
  const unit = view.top + (mid - TOP) / view.scale;
  const least = (h - TOP - 14) / (total() || 1) * 0.9;
  view.scale = Math.max(Math.min(least, 1.6), Math.min(view.scale * by, 1e7));
  view.fitted = false;
  view.top = unit - (mid - TOP) / view.scale;
  draw();
}
function laneWidth() {
  const fitting = (size().w - AXIS) / Math.max(1, shown.length);
  return view.width === "wide" ? 430 : Math.max(3, Math.min(fitting, 620));
}

/* ---- drawing */
function make(name, attributes, into, text) {
  const node = document.createElementNS(NS, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  into.appendChild(node);
  return node;
}
function duration(ns) {
  return ns < 1e3 ? ns + " ns" : ns < 1e6 ? (ns / 1e3).toFixed(1) + " µs"
    : ns < 1e9 ? (ns / 1e6).toFixed(2) + " ms" : (ns / 1e9).toFixed(3) + " s";
}
/* A time on the axis, with the digits by which it differs from the one before. */
function stamp(ns, step) {
  const [unit, name] = ns < 1e3 ? [1, "ns"] : ns < 1e6 ? [1e3, "µs"] : ns < 1e9 ? [1e6, "ms"]
    : [1e9, "s"];
  const digits = Math.ceil(-Math.log10(Math.max(1, step) / unit));
  return (ns / unit).toFixed(Math.max(0, Math.min(9, digits))) + " " + name;
}
function axis(h) {
  const g = make("g", {class: "axis"}, svg), step = 70;
  const at_y = at => Math.round(moment(view.top + (at - TOP) / view.scale) - start);
  for (let at = TOP; at < h - 8; at += step) {
    make("line", {class: "tick", x1: AXIS - 6, x2: size().w, y1: at, y2: at}, g);
    make("text", {class: "dim", x: AXIS - 10, y: at + 4, "text-anchor": "end"}, g,
      stamp(at_y(at), at === TOP ? at_y(at + step) - at_y(at) : at_y(at) - at_y(at - step)));
  }
}
function watch(node, lane, e) {
  node.addEventListener("mouseenter", () => details(lane, e));
  node.addEventListener("click", () => { choose(lane, e); draw(); });
  make("title", {}, node, describe(e));
}
function describe(e) {
  if (e.kind === "message") return e.name + (e.suite ? " " + e.suite : "") +
    (e.group ? " " + e.group : "");
  if (e.kind === "call") return e.name + "() = " + e.status +
    (e.bytes ? " " + e.bytes + " bytes" : "");
  if (e.kind === "alert") return (e.fatal ? "fatal alert " : "alert ") + e.name;
  if (e.kind === "wait") return "wait: " + e.name;
  if (e.kind === "handshake") return "handshake done: " + e.version + " " + (e.outcome || "");
  return [e.kind, e.name, e.outcome].filter(Boolean).join(" ");
}
function arrowHead(into, x, at, right, kind) {
  const d = right ? -1 : 1;
  make("path", {class: kind,
    d: `M${x + 7 * d},${at - 3.5} L${x},${at} L${x + 7 * d},${at + 3.5}`}, into);
}
function strips(g, conn, x, h) {
  const rows = [[0, e => e.shutdown ? "mask" + e.shutdown : ""],
    [5, e => e.session_state ? "session-" + e.session_state : ""]];
  const last = conn.events[conn.events.length - 1].at;
  for (const [dx, of] of rows) {
    let from = null, now = "";
    const close = at => {
      const a = Math.max(y(from), TOP), b = Math.min(Math.max(y(at), y(from) + 1), h);
      if (now && b > a) make("rect", {class: now, x: x + dx, y: a, width: 3.5, height: b - a}, g);
    };
    for (const e of conn.events) {
      const next = of(e);
      if (next !== now) { if (from !== null) close(e.at); now = next; from = e.at; }
    }
    if (from !== null) close(last);
  }
}
/* Waits outside of the library: a loop or the program waits, after a call that wants something,
   until the next call. */
function waitsBetween(conn) {
  const found = [];
  let before = null;
  for (const e of conn.events) if (e.kind === "call" && e.since) {
    if (before) found.push({...before, kind: "wait", name: before.status.replace("want_", ""),
      status: "over", since: before.at, at: e.since});
    before = /^want_(read|write|session)$/.test(e.status) ? e : null;
  }
  return found;
}
function bars(g, lane, conn, x, out, h) {
  for (const e of waitsBetween(conn)) {
    const a = Math.max(y(e.since), TOP), b = Math.min(y(e.at), h);
    if (b - a > 1) watch(make("rect", {class: "wait between", x: x + 3, y: a, width: 3,
      height: b - a}, g), lane, e);
  }
  for (const e of conn.events) {
    if ((e.kind !== "call" && e.kind !== "wait") || !e.since) continue;
    const a = y(e.since), b = Math.max(y(e.at), a + 1.5);
    if (b < TOP || a > h) continue;
    const wide = e.kind === "call" ? 9 : 5, dx = e.kind === "call" ? 0 : 2;
    const failed = e.status === "error" || e.status === "truncated" || e.status === "timeout";
    const bar = make("rect", {class: e.kind + (failed ? " failed" : "") +
      (e === chosenEvent ? " chosen-event" : ""), x: x + dx, y: Math.max(a, TOP), width: wide,
      height: Math.max(1, Math.min(b, h) - Math.max(a, TOP)), rx: 1}, g);
    watch(bar, lane, e);
    if (e.kind === "call" && out.labels && b - a > 11) make("text", {x: out.right ? x + 13 : x - 4,
      y: Math.max(a, TOP) + 10, "text-anchor": out.right ? "start" : "end", class: "dim"}, g,
      e.name);
  }
}
function drawArrow(g, lane, a, left, right, labels) {
  const right_ = a.from === "client", e = a.event;
  const y1 = y((a.sent || a.came).at), y2 = y((a.came || a.sent).at);
  const [x1, end] = right_ ? [left, right] : [right, left];
  /* It has not come, though the other end is here: the arrow stops half-way. */
  const lost = !a.came && lane[right_ ? "server" : "client"] && !a.data;
  const x2 = lost ? (x1 + end) / 2 : end;
  const kind = a.data ? "data" : e.kind !== "alert" ? "message"
    : e.name === "close_notify" ? "notify" : "alert";
  const node = make("g", {class: "arrow", "data-name": e.name}, g);
  make("line", {class: kind + (e === chosenEvent ? " chosen-event" : ""), x1, y1, x2, y2}, node);
  if (right - left > 40) arrowHead(node, x2, y2, right_, kind);
  watch(make("line", {class: "hit", x1, y1, x2, y2}, node), lane, e);
  if (labels) {
    const text = a.data ? e.bytes + " bytes" : e.kind === "alert" ? e.name : e.name +
      (e.early_data ? " (early data)" : "") + (e.suite ? " · " + e.suite : "");
    make("text", {x: (x1 + x2) / 2, y: (y1 + y2) / 2 - 3, "text-anchor": "middle",
      class: a.data ? "dim" : ""}, node, text.slice(0, Math.floor((right - left) / 5.6)));
  }
}
function flights(g, lane, left, right) {
  const groups = new Map();
  for (const a of lane.arrows) if (a.flight) {
    const at = [(a.sent || a.came).at, (a.came || a.sent).at], f = groups.get(a.flight);
    if (f) { f.from = Math.min(f.from, at[0]); f.to = Math.max(f.to, at[1]); f.n++; }
    else groups.set(a.flight, {from: at[0], to: at[1], n: 1});
  }
  for (const [number, f] of groups) if (f.n > 1) make("rect", {class: "flight",
    "data-flight": number, x: left + 1, y: y(f.from) - 2, width: right - left - 2,
    height: Math.max(0, y(f.to) - y(f.from)) + 4}, g);
}
function drawLane(lane, x, w, h) {
  shift = own(lane);
  const g = make("g", {class: "lane" + (lane === chosen ? " chosen" : "") +
    (w < 150 ? " narrow" : ""), "data-conn": lane.number,
    "data-result": lane.result, "aria-label": lane.label}, svg);
  const wide = w >= 150, margin = wide ? Math.min(105, w * 0.25) : w * 0.25;
  const left = x + margin, right = x + w - margin, a = Math.max(TOP, y(lane.first));
  const b = Math.min(h, y(lane.last));
  if (lane === chosen && w < 150)
    make("rect", {class: "column", x, y: TOP - 4, width: w, height: h}, g);
  const thin = w < 14, head = "lane-head" + (thin ? " thin " + lane.result : "");
  const box = make("rect", {class: head,
    x: x + (thin ? 0 : 1), y: thin ? 22 : 2, width: Math.max(1, w - (thin ? 0.5 : 2)),
    height: thin ? TOP - 34 : TOP - 8, rx: thin ? 0 : 3}, g);
  box.addEventListener("mouseenter", () => laneDetails(lane));
  box.addEventListener("click", () => { choose(lane, null); draw(); });
  make("title", {}, box, lane.label);
  if (!thin) make("rect", {class: "life " + lane.result, x: x + 2, y: TOP - 10, width: w - 4,
    height: 4}, g);
  const number = w < 70 ? "#" + lane.ends[0].id : lane.number;
  if (w >= 26) make("text", {x: x + 6, y: 16}, g, (wide ? number + " " + lane.name : number)
    .slice(0, Math.floor(w / 6.2)));
  if (wide) make("text", {x: x + 6, y: 31, class: "dim"}, g, ((lane.done ? lane.done.version + " "
    : "") + lane.result + (lane.tie ? " from " + lane.tie.number : ""))
    .slice(0, Math.floor(w / 5.8)));
  if (b < a) return;
  if (!wide) {
    const c = make("rect", {class: "life " + lane.result, x: thin ? x : x + w * 0.2, y: a,
      width: thin ? Math.max(1, w - 0.5) : w * 0.6, height: Math.max(3, b - a),
      opacity: thin ? .85 : .3}, g);
    c.addEventListener("mouseenter", () => laneDetails(lane));
    c.addEventListener("click", () => { choose(lane, null); draw(); });
    make("title", {}, c, lane.label);
    if (thin) return;
  } else flights(g, lane, left, right);
  for (const [side, at] of [["client", left], ["server", right]]) {
    make("line", {class: side + " line" + (lane[side] ? "" : " far"), x1: at, x2: at, y1: a,
      y2: b}, g);
    if (wide && lane[side]) {
      const outer = side === "client" ? at - 24 : at + 15;
      strips(g, lane[side], side === "client" ? at - 12 : at + 4, h);
      bars(g, lane, lane[side], outer, {right: side === "server", labels: margin > 60}, h);
    }
  }
  const used = [];
  for (const arrow of lane.arrows) {
    const y1 = y((arrow.sent || arrow.came).at), y2 = y((arrow.came || arrow.sent).at);
    if (Math.max(y1, y2) < TOP || Math.min(y1, y2) > h) continue;
    const labels = w >= 220 && !used.some(at => Math.abs((y1 + y2) / 2 - at) < 11);
    drawArrow(g, lane, arrow, left, right, labels);
    if (labels) used.push((y1 + y2) / 2);
  }
  for (const e of lane.events) if (e.kind === "handshake" && wide) {
    const at = e.side === "client" ? left : right, mark = make("circle", {class: "life " +
      lane.result, cx: at, cy: y(e.at), r: 4}, g);
    if (y(e.at) < TOP) mark.remove(); else watch(mark, lane, e);
  }
}
function drawTies(w) {
  const g = make("g", {class: "ties"}, svg);
  const middle = l => AXIS + (shown.indexOf(l) + .5) * w - view.left;
  for (const t of ties) {
    if (!shown.includes(t.from.lane) || !shown.includes(t.to)) continue;
    if (w < 40 && chosen && chosen !== t.to && chosen !== t.from.lane) continue;
    const x1 = middle(t.from.lane), x2 = middle(t.to);
    shift = own(t.from.lane);
    const y1 = y(t.from.at);
    shift = own(t.to);
    const y2 = y(t.to.hello.at);
    const path = make("path", {class: "tie", "data-from": t.from.lane.number,
      "data-to": t.to.number,
      d: `M${x1},${y1} C${x1},${(y1 + y2) / 2} ${x2},${(y1 + y2) / 2} ${x2},${y2}`}, g);
    if (y2 < TOP || y1 > size().h) path.remove();
    else make("title", {}, path, t.to.number + " resumed the session of " + t.from.lane.number);
  }
}
function draw() {
  clamp();
  svg.textContent = "";
  const {w, h} = size(), lane = laneWidth();
  axis(h);
  shown.forEach((l, i) => {
    const x = AXIS + i * lane - view.left;
    if (x + lane > AXIS - lane && x < w) drawLane(l, x, lane, h);
  });
  drawTies(lane);
}

/* ---- details */
function rows(object) {
  const list = document.createElement("dl");
  for (const [key, value] of Object.entries(object)) {
    if (value === undefined || value === null || value === "") continue;
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = key;
    dd.textContent = Array.isArray(value) ? value.join(", ") : String(value);
    list.append(dt, dd);
  }
  return list;
}
function show(title, object) {
  const heading = document.createElement("h2");
  heading.textContent = title;
  $("details").replaceChildren(heading, rows(object));
}
function details(lane, e) {
  const {kind, at, since, ...rest} = e;
  show(describe(e), {connection: lane.number, what: kind, at: duration(at - start),
    took: since ? duration(at - since) : "", ...rest});
}
function laneDetails(lane) {
  const done = lane.done || {};
  show("Connection " + lane.number, {name: lane.name, result: lane.result, version: done.version,
    suite: done.suite, group: done.group, outcome: done.outcome,
    "session of": lane.tie && lane.tie.number, began: duration(lane.first - start),
    lasted: duration(lane.last - lane.first), events: lane.events.length,
    peer: lane.ends.map(c => c.peer).filter(Boolean).join(" ")});
}
function choose(lane, e) {
  chosen = lane; chosenEvent = e;
  if (e) details(lane, e); else laneDetails(lane);
}
function reveal() {
  const w = laneWidth(), at = shown.indexOf(chosen) * w, width = size().w - AXIS;
  if (at < view.left) view.left = at;
  if (at + w > view.left + width) view.left = at + w - width;
  if (!chosenEvent) return;
  const unit = place(chosenEvent.at - own(chosen)), room = (size().h - TOP) / view.scale;
  if (unit < view.top || unit > view.top + room * .95) view.top = unit - room / 2;
}

/* ---- mouse and keyboard */
function step(by) {
  const at = shown.indexOf(chosen);
  choose(shown[Math.max(0, Math.min(shown.length - 1, at + by))], null);
}
function stepEvent(by) {
  if (!chosen) return step(1);
  const list = chosen.events, at = list.indexOf(chosenEvent);
  choose(chosen, list[Math.max(0, Math.min(list.length - 1, at + by))]);
}
function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = lanes.filter(l => words.every(word => /^#?\d+$/.test(word)
    ? l.ends.some(c => String(c.id) === word.replace("#", ""))
    : l.label.toLowerCase().includes(word)));
  if (!shown.includes(chosen)) chosen = chosenEvent = null;
  summary(); measure(); fit(); draw();
}
function summary() {
  const count = result => lanes.filter(l => l.result === result).length;
  $("summary").textContent = `${shown.length === lanes.length ? "" : shown.length + " of "}` +
    `${lanes.length} connection${lanes.length === 1 ? "" : "s"}: ${count("full")} full, ` +
    `${count("resumed")} resumed, ` +
    `${count("failed")} failed` + (count("none") ? `, ${count("none")} without a handshake` : "") +
    (lost ? `; ${lost} events were lost` : "");
}
const keys = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowUp: () => stepEvent(-1),
  ArrowDown: () => stepEvent(1), Home: () => stepEvent(-Infinity), End: () => stepEvent(Infinity),
};
const moves = {
  "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
  f: () => { fit(); draw(); }, "0": () => { fit(); draw(); }, p: () => window.print(),
  PageDown: () => { view.top += size().h * .8 / view.scale; draw(); },
  PageUp: () => { view.top -= size().h * .8 / view.scale; draw(); },
  m: () => { $("mode").selectedIndex = ($("mode").selectedIndex + 1) % 3; mode(); },
  w: () => { $("width").selectedIndex ^= 1; widths(); },
  "/": () => $("filter").focus(),
};
function mode() { view.mode = $("mode").value; measure(); fit(); draw(); }
function widths() { view.width = $("width").value; draw(); }
document.addEventListener("keydown", event => {
  const typing = /^(INPUT|SELECT)$/.test(event.target.tagName);
  if (typing) { if (event.key === "Escape") svg.focus(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (keys[event.key]) { keys[event.key](); reveal(); draw(); }
  else if (moves[event.key]) moves[event.key]();
  else return;
  event.preventDefault();
});
svg.addEventListener("wheel", event => {
  event.preventDefault();
  if (event.ctrlKey) return zoom(Math.exp(-event.deltaY / 300), event.offsetY);
  if (event.shiftKey) view.left += event.deltaY;
  else { view.top += event.deltaY / view.scale; view.left += event.deltaX; }
  draw();
}, {passive: false});
let drag = null;
svg.addEventListener("pointerdown", event => { drag = {x: event.clientX, y: event.clientY}; });
window.addEventListener("pointerup", () => { drag = null; });
window.addEventListener("pointermove", event => {
  if (!drag) return;
  view.left -= event.clientX - drag.x;
  view.top -= (event.clientY - drag.y) / view.scale;
  drag = {x: event.clientX, y: event.clientY};
  draw();
});
const resized = () => { if (view.fitted) fit(); draw(); };
window.addEventListener("resize", resized);
window.addEventListener("beforeprint", resized);
$("filter").addEventListener("input", filter);
$("mode").addEventListener("change", mode);
$("width").addEventListener("change", widths);
$("in").addEventListener("click", () => zoom(1.5));
$("out").addEventListener("click", () => zoom(1 / 1.5));
$("fit").addEventListener("click", moves.f);
$("print").addEventListener("click", moves.p);
document.title = "tlslife trace: " + lanes.length + " connections";
const wanted = new URLSearchParams(location.hash.slice(1));
if (wanted.has("filter")) $("filter").value = wanted.get("filter");
if (wanted.has("mode")) { $("mode").value = wanted.get("mode"); view.mode = $("mode").value; }
filter();
if (lanes.length) choose(shown[0] || lanes[0], null);
draw();
</script>
</body>
</html>
]==]

return page
