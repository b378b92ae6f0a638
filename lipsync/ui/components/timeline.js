// Timeline on which the parts of the video and of the voice are cut. Runs once, as the `js_on_load` of gr.HTML:
// element, trigger, props and watch are given. `props.value` is what `timeline_value` in timeline.py returns.
const WORDS = JSON.parse(element.querySelector(".tl").dataset.words);
const MOST = 6; // rows of the range tables
const SNAP_PIXELS = 8;
const SHORTEST = 0.04;
const LONGEST_ANSWER = 10000; // milliseconds
const root = element.querySelector(".tl");
const scroller = root.querySelector(".tl-scroll");
const content = root.querySelector(".tl-content");
const snap = root.querySelector("[data-do=snap]");
snap.setAttribute("aria-pressed", "true");
const announcement = root.querySelector(".tl-said");

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const round = (seconds) => Math.round(seconds * 100) / 100;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const clock = (seconds, decimals = 2) => {
  const whole = Math.round(seconds * 10 ** decimals) / 10 ** decimals;
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${(whole - 60 * minutes).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0")}`;
};
// As `TimeRange.parse` does; null for what it refuses, which the field itself then says.
const seconds = (text) =>
  /^(\d+:){0,2}(\d+(\.\d*)?|\.\d+)$/.test(text)
    ? text.split(":").reduce((sum, part) => sum * 60 + parseFloat(part), 0)
    : null;

const lanes = ["video", "voice"].map((name) => ({
  name,
  node: root.querySelector(`.tl-lane[data-lane=${name}]`),
  players: name === "video" ? "#video video" : "#voice audio, #voice-video video",
  length: 0,
  step: 0.04,
  edges: [],
  parts: [],
  at: 0,
  sent: null, // texts that the fields are to have, until they have them
}));
let data = {}; // the newest `props.value`
let zoom = 1;
let chosen = null; // {lane, index}
let drag = null;

const player = (lane) => [...document.querySelectorAll(lane.players)].find((one) => one.duration > 0);
const longest = () => Math.max(...lanes.map((lane) => lane.length), 0.001);
const percent = (time) => (100 * time) / longest();

// ------------------------------------------------------------------------------------------ drawing

const make = (tag, kind, attributes = {}) => {
  const node = document.createElement(tag);
  node.className = kind;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};

function drawStrip(lane) {
  const film = lane.node.querySelector(".tl-film");
  const { strip, count, aspect } = data;
  film.replaceChildren();
  if (!strip || !lane.length) return;
  const height = film.clientHeight || 54;
  const width = film.clientWidth || 400;
  const tiles = clamp(Math.ceil(width / (height * aspect)), 1, 400);
  for (let number = 0; number < tiles; number++) {
    const picture = clamp(Math.floor(((number + 0.5) / tiles) * count), 0, count - 1);
    const tile = make("i", "");
    tile.style.backgroundImage = `url(${strip})`;
    tile.style.backgroundSize = `${count * height * aspect}px ${height}px`;
    tile.style.backgroundPosition = `${-picture * height * aspect}px 0`;
    film.append(tile);
  }
}

function drawWave(lane) {
  const { peaks = [] } = data;
  const path = lane.node.querySelector("path");
  const outline = peaks.map((peak, x) => `L${x} ${50 - Math.max(peak, 0.6) / 2.1}`);
  const back = peaks.map((peak, x) => `L${x} ${50 + Math.max(peak, 0.6) / 2.1}`).reverse();
  path.setAttribute("d", peaks.length ? `M0 50${outline.join("")}${back.join("")}Z` : "");
  lane.node.querySelector("svg").setAttribute("viewBox", `0 0 ${Math.max(1, peaks.length - 1)} 100`);
}

function drawRuler() {
  const ruler = root.querySelector(".tl-ruler");
  const pixels = content.clientWidth || 400;
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  const step = steps.find((one) => (one / longest()) * pixels >= 56) ?? 3600;
  ruler.replaceChildren();
  for (let time = 0; time < longest() - step * 0.3; time += step) {
    const tick = make("span", "");
    tick.style.left = `${percent(time)}%`;
    tick.textContent = clock(time, step < 1 ? 1 : 0);
    ruler.append(tick);
  }
}

function labelOf(lane, index) {
  const [start, end] = lane.parts[index];
  return fill(WORDS.part, { number: index + 1, lane: WORDS[lane.name], start: clock(start), end: clock(end) });
}

function drawParts(lane) {
  const holder = lane.node.querySelector(".tl-parts");
  while (holder.children.length > lane.parts.length) holder.lastChild.remove();
  while (holder.children.length < lane.parts.length) {
    const index = holder.children.length;
    const part = make("div", "tl-part", { tabindex: 0, role: "group" });
    for (const side of ["start", "end"]) {
      part.append(make("div", `tl-handle tl-${side}`, { tabindex: 0, role: "slider" }));
    }
    part.append(make("span", "tl-number", { "aria-hidden": "true" }));
    part.dataset.index = index;
    holder.append(part);
  }
  lane.parts.forEach(([start, end], index) => {
    const part = holder.children[index];
    part.style.left = `${percent(start)}%`;
    part.style.width = `${percent(end - start)}%`;
    part.setAttribute("aria-label", labelOf(lane, index));
    const isChosen = chosen?.lane === lane && chosen.index === index;
    part.setAttribute("aria-current", isChosen);
    part.classList.toggle("is-chosen", isChosen);
    part.querySelector(".tl-number").textContent = `${index + 1} · ${(end - start).toFixed(1)} s`;
    for (const [side, value] of [["start", start], ["end", end]]) {
      const handle = part.querySelector(`.tl-${side}`);
      const words = { number: index + 1, lane: WORDS[lane.name] };
      handle.setAttribute("aria-label", fill(WORDS[side], words));
      handle.setAttribute("aria-valuemin", 0);
      handle.setAttribute("aria-valuemax", lane.length);
      handle.setAttribute("aria-valuenow", value);
      handle.setAttribute("aria-valuetext", clock(value));
    }
  });
  lane.node.querySelector(".tl-over").style.background = shade(lane);
}

// What is not used is dimmed.
function shade(lane) {
  if (!lane.parts.length) return "none";
  const stops = [];
  let at = 0;
  for (const [start, end] of [...lane.parts].sort((one, other) => one[0] - other[0])) {
    if (start > at) stops.push(`var(--shade) ${percent(at)}% ${percent(start)}%`);
    stops.push(`transparent ${percent(Math.max(at, start))}% ${percent(Math.max(at, end))}%`);
    at = Math.max(at, end);
  }
  return `linear-gradient(to right, ${stops.join(", ")}, var(--shade) ${percent(at)}% 100%)`;
}

function drawHead(lane) {
  const head = lane.node.querySelector(".tl-head");
  head.style.left = `${percent(lane.at)}%`;
  head.setAttribute("aria-valuemax", lane.length);
  head.setAttribute("aria-valuenow", round(lane.at));
  head.setAttribute("aria-valuetext", clock(lane.at));
}

function drawSums() {
  const sums = lanes.filter((lane) => lane.length).map((lane) => {
    const sum = lane.parts.reduce((all, [start, end]) => all + end - start, 0);
    const words = { lane: WORDS[lane.name], length: lane.length.toFixed(1), sum: sum.toFixed(1) };
    const kind = lane.parts.length > 1 ? "many" : lane.parts.length ? "one" : "whole";
    return fill(WORDS[kind], { ...words, count: lane.parts.length });
  });
  root.querySelector(".tl-sums").textContent = sums.join(" · ");
  const lane = chosen?.lane ?? lanes.find((one) => one.length);
  root.querySelector("[data-do=remove]").disabled = !chosen;
  root.querySelector("[data-do=play]").disabled = !lane || !player(lane);
  root.querySelector("[data-do=add]").disabled = !lane || lane.parts.length >= MOST;
  root.querySelector("[data-do=out]").disabled = root.querySelector("[data-do=in]").disabled = !lane;
  root.querySelector("[data-do=smaller]").disabled = zoom <= 1;
}

function draw() {
  root.hidden = !lanes.some((lane) => lane.length);
  content.style.width = `${100 * zoom}%`;
  for (const lane of lanes) {
    lane.node.hidden = !lane.length;
    lane.node.querySelector(".tl-track").style.width = `${percent(lane.length)}%`;
    // everything in a track is in percent of the whole, so the holder undoes the track's width
    lane.node.querySelector(".tl-over").style.width = `${(100 * 100) / percent(lane.length || longest())}%`;
    drawParts(lane);
    drawHead(lane);
  }
  drawSums();
}

function drawAll() {
  draw();
  drawStrip(lanes[0]);
  drawCuts(lanes[0]);
  drawWave(lanes[1]);
  drawRuler();
}

// ------------------------------------------------------------------------------------------ parts

// What is on its way to the fields, by lane: read when the event is sent, which may be after the next change.
element.editedParts = () =>
  Object.fromEntries(
    lanes.filter((lane) => lane.sent).map((lane) => [lane.name, lane.parts.map((part) => part.map(round))]),
  );

const texts = (lane) => JSON.stringify(lane.parts.map((part) => part.map(round)));

// Where shots begin.
function drawCuts(lane) {
  lane.node.querySelectorAll(".tl-cut").forEach((one) => one.remove());
  for (const time of lane.name === "video" ? lane.edges : []) {
    const line = make("i", "tl-cut");
    line.style.left = `${percent(time)}%`;
    lane.node.querySelector(".tl-over").prepend(line);
  }
}

// The parts as the fields show them, which are sent as soon as a change is over.
function commit(lane, spoken = "") {
  lane.sent = { parts: texts(lane), at: performance.now() };
  trigger("input");
  if (spoken) announcement.textContent = spoken;
}

function choose(lane, index, focus = false) {
  chosen = lane && lane.parts[index] ? { lane, index } : null;
  draw();
  if (focus && chosen) lane.node.querySelectorAll(".tl-part")[index]?.focus();
}

function insert(lane, start, end) {
  if (lane.parts.length >= MOST) return -1;
  const part = [start, end];
  const ordered = lane.parts.every((one, index) => !index || lane.parts[index - 1][0] <= one[0]);
  const later = ordered ? lane.parts.findIndex((one) => one[0] > start) : -1;
  lane.parts.splice(later < 0 ? lane.parts.length : later, 0, part);
  return lane.parts.indexOf(part);
}

function remove() {
  if (!chosen) return;
  const { lane, index } = chosen;
  lane.parts.splice(index, 1);
  choose(lane, Math.min(index, lane.parts.length - 1), true);
  if (!chosen) lane.node.querySelector(".tl-head").focus();
  commit(lane, WORDS.removed);
}

// Where a dragged edge lands: at a pause, a cut, the playhead or another part's edge that is near.
function snapped(lane, time, except) {
  if (snap.getAttribute("aria-pressed") !== "true") return time;
  const near = (SNAP_PIXELS * longest()) / content.clientWidth;
  const others = lane.parts.flatMap((part, index) => (index === except ? [] : part));
  const marks = [0, lane.length, lane.at, ...lane.edges, ...others];
  const best = marks.reduce((one, other) => (Math.abs(other - time) < Math.abs(one - time) ? other : one));
  return Math.abs(best - time) <= near ? best : time;
}

function setEdge(lane, index, side, time) {
  const part = lane.parts[index];
  part[side] = side
    ? clamp(time, part[0] + SHORTEST, lane.length)
    : clamp(time, 0, Math.max(0, part[1] - SHORTEST));
}

function move(lane, index, start) {
  const length = lane.parts[index][1] - lane.parts[index][0];
  const moved = clamp(start, 0, Math.max(0, lane.length - length));
  lane.parts[index] = [moved, moved + length];
}

// In and out points, as in an editor: of the chosen part, or of a new one.
function mark(lane, side) {
  let index = chosen?.lane === lane ? chosen.index : -1;
  if (index < 0) {
    const next = lane.parts.map((one) => one[0]).filter((one) => one > lane.at);
    const before = lane.parts.map((one) => one[1]).filter((one) => one < lane.at);
    index = side ? insert(lane, Math.max(0, ...before), lane.at) : insert(lane, lane.at, Math.min(lane.length, ...next));
    if (index < 0) return;
  }
  const part = lane.parts[index];
  if (side ? lane.at > part[0] : lane.at < part[1]) setEdge(lane, index, side, lane.at);
  else if (side) lane.parts[index] = [Math.max(0, lane.at - SHORTEST), lane.at];
  else lane.parts[index] = [lane.at, lane.length];
  choose(lane, index);
  commit(lane, labelOf(lane, index));
}

// ------------------------------------------------------------------------------------------ playing

function seek(lane, time) {
  lane.at = clamp(time, 0, lane.length);
  const one = player(lane);
  if (one) one.currentTime = Math.min(lane.at, Math.max(0, one.duration - 0.001));
  drawHead(lane);
}

let stopAt = null;
function play(lane, index = -1) {
  const one = player(lane);
  if (!one) return;
  if (!one.paused) {
    stopAt = null;
    one.pause();
    return;
  }
  const part = lane.parts[index];
  if (part && (lane.at < part[0] || lane.at >= part[1] - 0.05)) seek(lane, part[0]);
  stopAt = part ? { one, time: part[1] } : null;
  one.play();
}

function follow() {
  for (const lane of lanes) {
    const one = lane.length && drag?.lane !== lane ? player(lane) : null;
    if (one && Math.abs(one.currentTime - lane.at) > 0.005) {
      lane.at = Math.min(one.currentTime, lane.length);
      drawHead(lane);
    }
    if (stopAt && stopAt.one === one && one.currentTime >= stopAt.time) {
      one.pause();
      one.currentTime = stopAt.time; // a busy browser notices late
      stopAt = null;
    }
  }
  following = element.isConnected && lanes.some((lane) => player(lane)?.paused === false);
  if (following) requestAnimationFrame(follow);
}

let following = false;
const start = () => {
  if (!following) requestAnimationFrame(follow);
  following = true;
  drawSums();
};
for (const kind of ["play", "pause", "timeupdate", "seeked", "loadedmetadata", "emptied"]) {
  document.addEventListener(kind, start, true); // media events do not bubble
}

// ------------------------------------------------------------------------------------------ pointer

const laneOf = (node) => lanes.find((lane) => lane.node.contains(node));
const timeAt = (event) => {
  const box = content.getBoundingClientRect();
  return ((event.clientX - box.left) / box.width) * longest();
};

content.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  const lane = laneOf(event.target);
  const ruler = event.target.closest(".tl-ruler");
  if (!lane && !ruler) return;
  const part = event.target.closest(".tl-part");
  const handle = event.target.closest(".tl-handle");
  const index = part ? Number(part.dataset.index) : -1;
  const time = timeAt(event);
  const kind = ruler || event.target.closest(".tl-head") ? "scrub" : handle ? "edge" : part ? "move" : "new";
  const target = lane ?? chosen?.lane ?? lanes.find((one) => one.length);
  const side = handle?.classList.contains("tl-end") ? 1 : 0;
  drag = { lane: target, kind, index, side, from: time, x: event.clientX, moved: false };
  drag.offset = kind === "move" ? time - target.parts[index][0] : 0;
  content.setPointerCapture(event.pointerId);
  if (part) choose(lane, index);
  (handle ?? part ?? target.node.querySelector(".tl-head")).focus({ preventScroll: true });
  if (kind === "scrub") seek(target, time);
  event.preventDefault();
});

content.addEventListener("pointermove", (event) => {
  if (!drag) return;
  if (!drag.moved && Math.abs(event.clientX - drag.x) < 4) return;
  drag.moved = true;
  const { lane, kind } = drag;
  const time = timeAt(event);
  if (kind === "scrub") return seek(lane, time);
  if (kind === "new") {
    const start = snapped(lane, clamp(drag.from, 0, lane.length));
    drag.index = insert(lane, start, start);
    if (drag.index < 0) return (drag = null);
    drag.kind = "stretch";
    drag.anchor = start;
    chosen = { lane, index: drag.index };
  }
  if (drag.kind === "stretch") {
    const end = snapped(lane, clamp(time, 0, lane.length), drag.index);
    lane.parts[drag.index] = [Math.min(drag.anchor, end), Math.max(drag.anchor, end)];
  } else if (kind === "edge") {
    setEdge(lane, drag.index, drag.side, snapped(lane, time, drag.index));
  } else if (kind === "move") {
    move(lane, drag.index, snapped(lane, time - drag.offset, drag.index));
  }
  draw();
});

function release(event) {
  if (!drag) return;
  const { lane, kind, index, side, moved } = drag;
  drag = null;
  if (kind === "new" && !moved) {
    choose(null);
    return seek(lane, timeAt(event));
  }
  if (!moved || kind === "scrub") return;
  if (lane.parts[index] && lane.parts[index][1] - lane.parts[index][0] < SHORTEST) {
    lane.parts.splice(index, 1);
    return choose(null);
  }
  if (kind === "edge") seek(lane, lane.parts[index][side]);
  commit(lane, labelOf(lane, index));
}
content.addEventListener("pointerup", release);
content.addEventListener("pointercancel", release);

// ------------------------------------------------------------------------------------------ keyboard

root.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("button, input")) return;
  const lane = laneOf(event.target);
  if (!lane) return;
  const part = event.target.closest(".tl-part");
  const handle = event.target.closest(".tl-handle");
  const index = part ? Number(part.dataset.index) : -1;
  const key = event.key.toLowerCase();
  const by = { arrowleft: -1, arrowright: 1, pageup: 10, pagedown: -10 }[key];
  if (part) chosen = { lane, index };
  if (by !== undefined || key === "home" || key === "end") {
    const step = event.shiftKey ? 1 : lane.step;
    const now = handle ? lane.parts[index][handle.classList.contains("tl-end") ? 1 : 0] : part ? lane.parts[index][0] : lane.at;
    const time = by === undefined ? (key === "home" ? 0 : lane.length) : now + by * step;
    if (handle) setEdge(lane, index, handle.classList.contains("tl-end") ? 1 : 0, time);
    else if (part) move(lane, index, time);
    else seek(lane, time);
    if (handle) seek(lane, lane.parts[index][handle.classList.contains("tl-end") ? 1 : 0]);
    if (part) {
      draw();
      commit(lane);
    }
  } else if (key === " ") play(lane, index);
  else if (key === "enter" && part) play(lane, index);
  else if (key === "i" || key === "o") mark(lane, key === "o" ? 1 : 0);
  else if ((key === "delete" || key === "backspace") && part) remove();
  else if (key === "escape") choose(null);
  else return;
  event.preventDefault();
  event.stopPropagation();
});

root.addEventListener("focusin", (event) => {
  const part = event.target.closest(".tl-part");
  if (part && !drag) choose(laneOf(part), Number(part.dataset.index));
});

root.addEventListener("click", (event) => {
  const act = event.target.closest("button")?.dataset.do;
  const lane = chosen?.lane ?? lanes.find((one) => one.length);
  if (!act || !lane) return;
  if (act === "play") play(lane, chosen?.index ?? -1);
  if (act === "in" || act === "out") mark(lane, act === "out" ? 1 : 0);
  if (act === "remove") remove();
  if (act === "snap") snap.setAttribute("aria-pressed", snap.getAttribute("aria-pressed") !== "true");
  if (act === "add") {
    const index = insert(lane, lane.at, Math.min(lane.length, lane.at + Math.max(lane.length / 5, 0.5)));
    choose(lane, index, true);
    commit(lane, labelOf(lane, index));
  }
  if (act === "larger" || act === "smaller") {
    const middle = (scroller.scrollLeft + scroller.clientWidth / 2) / (scroller.clientWidth * zoom);
    zoom = clamp(zoom * (act === "larger" ? 2 : 0.5), 1, 64);
    drawAll();
    scroller.scrollLeft = middle * scroller.clientWidth * zoom - scroller.clientWidth / 2;
  }
});

// ------------------------------------------------------------------------------------------ fields and files

// The text fields have changed: by the answer to what was sent from here, by the visitor, or by a settings file.
element.addEventListener("lipsync-parts", (event) => {
  const lane = lanes.find((one) => one.name === event.detail.lane);
  const rows = event.detail.texts.map((text) => (text ?? "").trim());
  const parts = [];
  for (let row = 0; row < rows.length; row += 2) {
    if (!rows[row] && !rows[row + 1]) continue;
    const [start, end] = [seconds(rows[row] || "0"), rows[row + 1] ? seconds(rows[row + 1]) : lane.length || null];
    if (start === null || end === null || start >= end) continue;
    parts.push([round(start), round(Math.min(end, lane.length || end))]);
  }
  lane.texts = event.detail.texts;
  if (drag?.lane === lane) return;
  // While a change is on its way, what comes is older, unless it is being typed.
  const isTyped = document.activeElement?.closest?.(`#${lane.name}-ranges`);
  const isWaiting = lane.sent && performance.now() - lane.sent.at < LONGEST_ANSWER;
  if (isWaiting && !isTyped && JSON.stringify(parts) !== lane.sent.parts) return;
  lane.sent = null;
  lane.parts = parts;
  if (chosen?.lane === lane && chosen.index >= parts.length) chosen = null;
  draw();
});

function load() {
  data = props.value || {};
  lanes[0].length = data.video_seconds || 0;
  lanes[0].step = data.frame || 0.04;
  lanes[1].length = data.voice_seconds || 0;
  lanes[0].edges = data.cuts || [];
  lanes[1].edges = (data.pauses || []).flat();
  for (const lane of lanes) {
    lane.at = Math.min(lane.at, lane.length);
    if (lane.texts) {
      const detail = { lane: lane.name, texts: lane.texts };
      element.dispatchEvent(new CustomEvent("lipsync-parts", { detail }));
    }
  }
  zoom = 1;
  drawAll();
}

watch("value", load);
new ResizeObserver(() => {
  drawStrip(lanes[0]);
  drawRuler();
}).observe(scroller);
load();
