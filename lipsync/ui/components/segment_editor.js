// Rows of who says what and when. Runs once, as the `js_on_load` of gr.HTML: element, trigger, props and watch
// are given. `props.value` is what `SegmentEditor.show` has loaded; what the server says about the rows comes
// as the event "lipsync-told". The words are those of EDITOR_WORDS in strings.py.
const WORDS = JSON.parse(element.querySelector(".se").dataset.words);
const TYPING = 400; // milliseconds after the last key until a change is sent
const root = element.querySelector(".se");
const holder = root.querySelector(".se-rows");
const said = root.querySelector(".se-said");
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const empty = () => ({ start: "", end: "", face: "", voice: "0", part: "", text: "", speaker: "" });

let rows = [];
let told = { voices: [{ value: "0", label: "" }], spoken: [], faces: [], chosen: {}, problems: [], about: "" };
let timer = null;

// ------------------------------------------------------------------------------------------ times

const clock = (seconds) => {
  const hundredths = Math.round(seconds * 100);
  const minutes = Math.floor(hundredths / 6000);
  const rest = ((hundredths - 6000 * minutes) / 100).toFixed(2).padStart(5, "0");
  return `${minutes}:${rest.replace(/\.?0+$/, "")}`;
};
const seconds = (text) =>
  /^(\d+:){0,2}(\d+(\.\d*)?|\.\d+)$/.test(text.trim())
    ? text.trim().split(":").reduce((sum, part) => sum * 60 + parseFloat(part), 0)
    : null;

// The parts of the video that are used, as the timeline shows them: the result has them one after the other.
const used = () =>
  [...document.querySelectorAll("#timeline [data-lane=video] .tl-part")].map((part) =>
    [".tl-start", ".tl-end"].map((side) => Number(part.querySelector(side).getAttribute("aria-valuenow"))),
  );
// A time of the file as one of the joined parts.
function joined(time) {
  let before = 0;
  for (const [start, end] of used()) {
    if (time >= start && time <= end) return before + time - start;
    before += end - start;
  }
  return used().length ? null : time;
}
function position() {
  const player = [...document.querySelectorAll("#video video, #voice audio, #voice-video video")]
    .find((one) => one.duration > 0);
  return player ? joined(player.currentTime) : null;
}
function chosenPart() {
  const video = document.querySelector("#timeline [data-lane=video] .tl-part.is-chosen");
  const part = video ?? document.querySelector("#timeline [data-lane=voice] .tl-part.is-chosen");
  if (!part) return null;
  const [start, end] = [".tl-start", ".tl-end"].map((side) =>
    Number(part.querySelector(side).getAttribute("aria-valuenow")));
  if (!video) return [start, end];
  const from = joined(start);
  return from === null ? null : [from, from + end - start];
}
// A part of the voice that starts with the row stays there when the row is moved.
const same = (row) => `${row.start.trim() || "0"}-`;

// ------------------------------------------------------------------------------------------ sending

element.rows = () => JSON.stringify(rows);
// The line that is to be drawn again; different each time, so that it is noticed.
let again = 0;
element.again = () => `${again} ${Date.now()}`;

function commit(spoken = "") {
  clearTimeout(timer);
  timer = null;
  trigger("input");
  if (spoken) said.textContent = spoken;
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(commit, TYPING);
}

// ------------------------------------------------------------------------------------------ drawing

function make(tag, kind, attributes = {}, text = "") {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

function field(name, label, tag = "input", more = {}) {
  const outer = make("label", `se-field se-${name}`);
  outer.append(make("span", "", {}, label));
  outer.append(make(tag, "", { "data-field": name, autocomplete: "off", spellcheck: name === "text", ...more }));
  return outer;
}

function button(act, sign, title) {
  return make("button", `se-${act}`, { type: "button", "data-do": act, title, "aria-label": title }, sign);
}

function makeRow() {
  const row = make("div", "se-row", { role: "group" });
  const face = make("details", "se-face");
  face.append(make("summary", "", { "aria-label": WORDS.face }), make("div", "se-faces", { role: "group", "aria-label": WORDS.face }));
  const first = make("div", "se-line");
  first.append(
    field("start", WORDS.start, "input", { placeholder: "m:s" }),
    button("start-here", "⇤", WORDS.startHere),
    field("end", WORDS.end, "input", { placeholder: "m:s" }),
    button("end-here", "⇥", WORDS.endHere),
    button("part", "▭", WORDS.part),
    field("voice", WORDS.voice, "select"),
  );
  const second = make("div", "se-line");
  second.append(
    field("speaker", WORDS.speaker),
    field("text", WORDS.text, "textarea", { rows: 1 }),
    field("part", WORDS.offset, "input", { placeholder: WORDS.whole }),
    button("same", "≡", WORDS.same),
  );
  const lines = make("div", "se-lines");
  lines.append(first, second);
  row.append(make("span", "se-number", { "aria-hidden": "true" }), face, lines);
  row.append(button("again", "↻", WORDS.again), button("remove", "✕", WORDS.remove), make("div", "se-problem problem", { role: "alert" }));
  return row;
}

function imageOf(value) {
  return told.faces.find((one) => one.value === value)?.image ?? told.chosen[value];
}

function drawFace(node, row) {
  const summary = node.querySelector("summary");
  const image = imageOf(row.face);
  const label = told.faces.find((one) => one.value === row.face)?.label ?? (row.face || WORDS.usual);
  const key = `${label} ${image ?? ""}`;
  if (summary.dataset.key !== key) {
    summary.dataset.key = key;
    summary.replaceChildren(image ? make("img", "", { src: image, alt: "" }) : make("span", "se-noface", {}, "☺"));
    summary.append(make("span", "se-facename", {}, label));
  }
  summary.setAttribute("aria-label", `${WORDS.face}: ${label}`);
  const faces = node.querySelector(".se-faces");
  const all = JSON.stringify(told.faces.map((one) => one.value));
  if (faces.dataset.key !== all) {
    faces.dataset.key = all;
    faces.replaceChildren(make("button", "", { type: "button", "data-face": "" }, WORDS.usual));
    for (const one of told.faces) {
      const choice = make("button", "", { type: "button", "data-face": one.value });
      choice.append(make("img", "", { src: one.image, alt: "" }), make("span", "", {}, one.label));
      faces.append(choice);
    }
  }
  for (const one of faces.children) one.setAttribute("aria-pressed", one.dataset.face === row.face);
}

function drawVoices(select, chosen) {
  const known = [...told.voices, ...told.spoken];
  const all = known.some((one) => one.value === chosen) ? known : [...known, { value: chosen, label: chosen }];
  const key = JSON.stringify(all);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...all.map((one) => {
      const option = make("option", "", { value: one.value });
      option.textContent = one.label || one.value;
      return option;
    }));
  }
  select.value = chosen;
}

function drawRow(node, row, index) {
  node.setAttribute("aria-label", fill(WORDS.row, { number: index + 1 }));
  node.dataset.index = index;
  node.querySelector(".se-number").textContent = index + 1;
  for (const input of node.querySelectorAll("[data-field]")) {
    const name = input.dataset.field;
    if (name === "voice") drawVoices(input, row.voice);
    else if (input.value !== row[name]) input.value = row[name];
  }
  const isSpoken = !/^\d+$/.test(row.voice);
  node.classList.toggle("is-spoken", isSpoken);
  node.querySelector("[data-do=same]").disabled = row.part === same(row);
  drawFace(node.querySelector(".se-face"), row);
  drawProblem(node, index);
}

function drawProblem(node, index) {
  const problem = told.problems[index] || "";
  const line = node.querySelector(".se-problem");
  if (line.textContent !== problem) line.textContent = problem;
  node.classList.toggle("is-wrong", Boolean(problem));
}

function draw() {
  while (holder.children.length > rows.length) holder.lastChild.remove();
  while (holder.children.length < rows.length) holder.append(makeRow());
  rows.forEach((row, index) => drawRow(holder.children[index], row, index));
  root.querySelector("[data-do=clear]").hidden = rows.length < 2;
  const all = root.querySelector(".se-all");
  all.hidden = rows.length < 2 || !told.spoken.length;
  drawAll(all.querySelector("select"));
  root.classList.toggle("is-empty", !rows.length);
}

function drawAll(select) {
  const key = JSON.stringify(told.spoken);
  if (select.dataset.key === key) return;
  select.dataset.key = key;
  select.replaceChildren(make("option", "", { value: "" }, "…"), ...told.spoken.map((one) =>
    make("option", "", { value: one.value }, one.label)));
}

// ------------------------------------------------------------------------------------------ changes

const rowOf = (node) => {
  const found = node.closest(".se-row");
  return found ? rows[Number(found.dataset.index)] : null;
};

function setTimes(row, start, end) {
  const isLinked = row.part === same(row);
  if (start !== null) row.start = clock(start);
  if (end !== null) row.end = clock(end);
  if (isLinked) row.part = same(row);
}

function add() {
  const row = empty();
  const last = rows[rows.length - 1];
  const part = chosenPart();
  const at = position() ?? 0;
  const start = part ? part[0] : Math.max(at, last ? (seconds(last.end) ?? 0) : 0);
  setTimes(row, start, part ? part[1] : start + 2);
  if (last) {
    row.voice = last.voice;
    row.face = last.face;
    row.part = last.part === same(last) ? same(row) : "";
  }
  rows.push(row);
  told.problems = told.problems.slice(0, rows.length - 1);
  draw();
  holder.lastChild.querySelector("[data-field=start]").focus();
  commit(fill(WORDS.added, { number: rows.length }));
}

// Lines of the same speaker keep the same face, and the same voice that speaks them.
function setForSpeaker(row, name, value) {
  const before = row[name];
  const theirs = rows.filter((one) => one === row || (row.speaker && one.speaker === row.speaker && one[name] === before));
  for (const one of theirs) one[name] = value;
  return theirs.length > 1 ? fill(WORDS.allOf, { count: theirs.length, speaker: row.speaker }) : "";
}

root.addEventListener("input", (event) => {
  const row = rowOf(event.target);
  const name = event.target.dataset.field;
  if (!row || !name) return;
  if (name === "voice") {
    said.textContent = setForSpeaker(row, "voice", event.target.value);
    return draw();
  }
  const isLinked = name === "start" && row.part === same(row);
  row[name] = event.target.value;
  if (isLinked) row.part = same(row);
  draw();
  later();
});

root.addEventListener("change", (event) => {
  if (event.target.dataset.do === "all") {
    const voice = event.target.value;
    if (!voice) return;
    for (const row of rows) if (row.text.trim()) row.voice = voice;
    event.target.value = "";
    draw();
    return commit();
  }
  if (rowOf(event.target)) commit();
});

root.addEventListener("click", (event) => {
  const choice = event.target.closest("[data-face]");
  const act = event.target.closest("button")?.dataset.do;
  const row = rowOf(event.target);
  if (choice && row) {
    const spoken = setForSpeaker(row, "face", choice.dataset.face);
    const details = choice.closest("details");
    details.open = false;
    details.querySelector("summary").focus();
    draw();
    return commit(spoken);
  }
  if (act === "add") return add();
  if (act === "clear") rows = [];
  else if (!act || !row) return;
  if (act === "remove") rows.splice(rows.indexOf(row), 1);
  if (act === "start-here" || act === "end-here") {
    const at = position();
    if (at === null) return;
    setTimes(row, act === "start-here" ? at : null, act === "end-here" ? at : null);
  }
  if (act === "part") {
    const part = chosenPart();
    if (!part) return (said.textContent = WORDS.noPart);
    setTimes(row, ...part);
  }
  if (act === "again") {
    again = rows.indexOf(row);
    commit();
    return trigger("submit");
  }
  if (act === "same") row.part = same(row);
  if (act === "remove" || act === "clear") told.problems = [];
  draw();
  if (act === "remove" || act === "clear") root.querySelector("[data-do=add]").focus();
  commit(act === "remove" ? WORDS.removed : "");
});

// One list of faces is open at a time, and none when the visitor is elsewhere.
root.addEventListener("toggle", (event) => {
  if (event.target.open) for (const one of root.querySelectorAll("details[open]")) one.open = one === event.target;
}, true);
root.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && event.target.closest("details[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});
document.addEventListener("pointerdown", (event) => {
  for (const one of root.querySelectorAll("details[open]")) if (!one.contains(event.target)) one.open = false;
});

// ------------------------------------------------------------------------------------------ from the server

element.addEventListener("lipsync-told", (event) => {
  const news = event.detail;
  // About rows that have changed since, there will be other news.
  const isOld = news.rows !== undefined && JSON.stringify(news.rows) !== element.rows();
  told = { ...told, ...news, problems: isOld ? told.problems : (news.problems ?? told.problems) };
  draw();
});

let serial = null;
function load() {
  const value = props.value || {};
  if (!value.rows || value.serial === serial) return;
  serial = value.serial;
  rows = value.rows.map((row) => ({ ...empty(), ...row }));
  told.problems = [];
  draw();
}
watch("value", load);
load();
draw();
trigger("load"); // what is said about the rows may have come before the editor was unfolded
