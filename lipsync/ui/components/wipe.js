// Before and after in one picture: a line wipes over the playing side-by-side video. All pictures of one moment are
// in one frame of that video, so they are in step whatever the browser does. Runs once, as the `js_on_load` of
// gr.HTML: element, props and watch are given; `props.value` holds the names of the columns, from left to right.
const root = element.querySelector(".wipe");
const canvas = root.querySelector("canvas");
const line = root.querySelector(".wipe-line");
const slider = root.querySelector(".wipe-split");
const names = [...root.querySelectorAll(".wipe-name")];
const buttons = Object.fromEntries([...root.querySelectorAll("[data-do]")].map((one) => [one.dataset.do, one]));
const speed = root.querySelector(".wipe-speed");
const columns = root.querySelector(".wipe-columns");
const PLAYER = "#side-by-side video";
let shown = { source: null, time: -1, split: -1, column: -1 };

const player = () => document.querySelector(PLAYER);
const value = () => props.value ?? {};
const count = () => value().names?.length ?? 0;

function draw() {
  const video = player();
  if (!video || video.readyState < 2 || count() < 2) return;
  const split = slider.value / 100;
  const column = Number(columns.value);
  const now = { source: video.currentSrc, time: video.currentTime, split, column };
  if (Object.keys(now).every((one) => now[one] === shown[one])) return;
  shown = now;
  const width = video.videoWidth / count();
  const height = video.videoHeight;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const edge = Math.round(width * split);
  const pen = canvas.getContext("2d", { willReadFrequently: false });
  // Left of the line what was before, right of it what was made.
  if (edge > 0) pen.drawImage(video, 0, 0, edge, height, 0, 0, edge, height);
  if (edge < width) {
    pen.drawImage(video, column * width + edge, 0, width - edge, height, edge, 0, width - edge, height);
  }
  line.style.left = `${100 * split}%`;
  names[0].hidden = split < 0.15;
  names[1].hidden = split > 0.85;
}

function follow() {
  const video = player();
  buttons.play.textContent = !video || video.paused ? "▶" : "❚❚";
  if (video && video.playbackRate !== Number(speed.value)) video.playbackRate = Number(speed.value);
  draw();
  if (video && !video.paused && root.isConnected) requestAnimationFrame(follow);
}

function step(frames) {
  const video = player();
  if (!video) return;
  video.pause();
  // To the middle of a frame: its borders are no exact numbers.
  const number = Math.floor(video.currentTime * value().fps + 1e-6) + frames;
  video.currentTime = Math.min(Math.max((number + 0.5) / value().fps, 0), video.duration);
}

function load() {
  const given = value().names ?? [];
  root.hidden = given.length < 2;
  names[0].textContent = given[0] ?? "";
  columns.replaceChildren(...given.slice(1).map((name, number) => new Option(name, number + 1)));
  columns.hidden = given.length < 3;
  names[1].textContent = given[1] ?? "";
  shown.source = null;
  follow();
}

buttons.play.addEventListener("click", () => {
  const video = player();
  if (video) video.paused ? video.play() : video.pause();
});
buttons.back.addEventListener("click", () => step(-1));
buttons.next.addEventListener("click", () => step(1));
slider.addEventListener("input", draw);
speed.addEventListener("change", follow);
columns.addEventListener("change", () => {
  names[1].textContent = columns.selectedOptions[0].text;
  draw();
});
const stage = root.querySelector(".wipe-stage");
const drag = (event) => {
  const box = stage.getBoundingClientRect();
  slider.value = (100 * (event.clientX - box.left)) / box.width;
  draw();
};
stage.addEventListener("pointerdown", (event) => {
  stage.setPointerCapture(event.pointerId);
  drag(event);
});
stage.addEventListener("pointermove", (event) => {
  if (stage.hasPointerCapture(event.pointerId)) drag(event);
});
// Gradio makes the player anew whenever its tab is opened, so its events are heard from outside.
for (const told of ["loadeddata", "seeked", "play", "pause"]) {
  document.addEventListener(told, (event) => event.target.matches?.(PLAYER) && follow(), true);
}
new ResizeObserver(draw).observe(stage);
watch("value", load);
load();
