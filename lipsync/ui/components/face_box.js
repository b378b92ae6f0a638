// The previewed frame: its face box is dragged, resized and moved by keys; a click on another face chooses it. Runs
// once, as the `js_on_load` of gr.HTML: element, trigger, props and watch are given. `props.value` is what
// `face_box_value` in face_box.py returns.
const root = element.querySelector(".stage");
const WORDS = JSON.parse(root.dataset.words);
const SMALLEST = 8; // pixels of the frame
const frame = root.querySelector(".stage-frame");
const picture = frame.querySelector("img");
const people = frame.querySelector(".stage-people");
const node = frame.querySelector(".stage-box");
const bar = root.querySelector(".stage-bar");
const find = root.querySelector("[data-do=find]");
const announcement = root.querySelector(".stage-said");
let data = {};
let box = null; // x1, y1, x2, y2 in pixels of the frame
let drag = null;
let sent = null; // what was done last

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const place = (one, [x1, y1, x2, y2]) => {
  one.style.left = `${(100 * x1) / data.width}%`;
  one.style.top = `${(100 * y1) / data.height}%`;
  one.style.width = `${(100 * (x2 - x1)) / data.width}%`;
  one.style.height = `${(100 * (y2 - y1)) / data.height}%`;
};
const words = () => fill(WORDS.box, { top: box[1], bottom: box[3], left: box[0], right: box[2] });

function draw() {
  frame.hidden = bar.hidden = !data.picture;
  node.hidden = !box;
  find.hidden = !data.fixed;
  if (!box) return;
  place(node, box);
  node.setAttribute("aria-label", words());
}

// Edges that are moved by (x, y); all of them for the box as a whole.
function moved(start, edges, x, y) {
  const [x1, y1, x2, y2] = start;
  if (!edges) {
    const [dx, dy] = [clamp(x, -x1, data.width - x2), clamp(y, -y1, data.height - y2)];
    return [x1 + dx, y1 + dy, x2 + dx, y2 + dy].map(Math.round);
  }
  return [
    edges.includes("l") ? clamp(x1 + x, 0, x2 - SMALLEST) : x1,
    edges.includes("t") ? clamp(y1 + y, 0, y2 - SMALLEST) : y1,
    edges.includes("r") ? clamp(x2 + x, x1 + SMALLEST, data.width) : x2,
    edges.includes("b") ? clamp(y2 + y, y1 + SMALLEST, data.height) : y2,
  ].map(Math.round);
}

function send(done) {
  sent = done;
  trigger("input");
}

function commit() {
  data.fixed = true;
  draw();
  announcement.textContent = words();
  send({ box: [box[1], box[3], box[0], box[2]] }); // as the setting has it: top, bottom, left, right
}

// Read when the event is sent, which may be after the next change.
element.edited = () => sent;

node.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  const edges = event.target.dataset.edges ?? "";
  drag = { edges, start: box, x: event.clientX, y: event.clientY };
  node.setPointerCapture(event.pointerId);
  node.focus({ preventScroll: true });
  node.classList.add("is-moving");
  event.preventDefault();
});
node.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const scale = data.width / frame.clientWidth;
  box = moved(drag.start, drag.edges, (event.clientX - drag.x) * scale, (event.clientY - drag.y) * scale);
  draw();
});
function release() {
  if (!drag) return;
  const { start } = drag;
  drag = null;
  node.classList.remove("is-moving");
  if (start.some((edge, index) => edge !== box[index])) commit();
  else load(); // what came in between
}
node.addEventListener("pointerup", release);
node.addEventListener("pointercancel", release);

// Arrows move the box, with Shift its right and lower edge; + and - change it on all sides.
let typing = null;
node.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = Math.max(1, Math.round(data.width / 200));
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (by) box = moved(box, event.shiftKey ? "rb" : "", by[0] * step, by[1] * step);
  else if (event.key === "+") box = moved(moved(box, "rb", step, step), "lt", -step, -step);
  else if (event.key === "-") box = moved(moved(box, "rb", -step, -step), "lt", step, step);
  else return;
  event.preventDefault();
  draw();
  clearTimeout(typing);
  typing = setTimeout(() => { typing = null; commit(); }, 400); // one redraw for a held key
});

find.addEventListener("click", () => {
  data.fixed = false;
  draw();
  send({ box: null });
});

function load() {
  if (drag || typing) return;
  data = { ...(props.value ?? {}) };
  box = data.box ?? null;
  if (data.picture && picture.src !== data.picture) picture.src = data.picture;
  const others = (data.people ?? []).map((one, index) => ({ one, index })).filter(({ index }) => !data.selected[index]);
  people.replaceChildren(...others.map(({ one, index }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", fill(WORDS.face, { number: index + 1 }));
    button.title = button.getAttribute("aria-label");
    button.addEventListener("click", () => send({ face: index }));
    place(button, one);
    return button;
  }));
  draw();
}

watch("value", load);
load();
