// Browsers give many a HEIC or AVIF file no media type, by which Gradio would refuse it: it is named here.
(() => {
  const types = { heic: "image/heic", heif: "image/heif", hif: "image/heif", avif: "image/avif" };
  const typeOf = (file) => file.type || types[file.name.split(".").pop().toLowerCase()] || "";
  const typed = (files) => {
    const transfer = new DataTransfer();
    for (const file of files) {
      const type = typeOf(file);
      transfer.items.add(type === file.type ? file : new File([file], file.name, { type }));
    }
    return transfer;
  };
  const untyped = (files) => [...files].some((file) => typeOf(file) !== file.type);
  addEventListener("change", (event) => {
    const input = event.target;
    if (input.type === "file" && untyped(input.files)) input.files = typed(input.files).files;
  }, true);
  addEventListener("drop", (event) => {
    if (!event.dataTransfer || !untyped(event.dataTransfer.files)) return;
    event.preventDefault();
    event.stopPropagation();
    const { clientX, clientY } = event;
    event.target.dispatchEvent(new DragEvent("drop", {
      bubbles: true, cancelable: true, clientX, clientY, dataTransfer: typed(event.dataTransfer.files),
    }));
  }, true);
})();
// Players show the playable copies of files that this browser cannot play. Gradio makes a player anew, with the
// file itself, whenever its tab is opened or its component is set.
(() => {
  const copies = new Map();
  const swap = (player) => {
    const url = player instanceof HTMLMediaElement && [...copies.keys()].find((one) => player.src.endsWith(one));
    if (!url) return;
    player.dataset.copyOf = url;
    player.src = copies.get(url);
  };
  addEventListener("playable-copy", (event) => {
    copies.set(event.detail.url, event.detail.copy);
    document.querySelectorAll("video, audio").forEach(swap);
  });
  for (const told of ["loadstart", "loadedmetadata", "error"]) {
    addEventListener(told, (event) => swap(event.target), true);
  }
})();
// Buttons with a time play it: the weak stretches of a result.
addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-seek]");
  const player = button && document.querySelector(button.dataset.player);
  if (!player) return;
  player.currentTime = Number(button.dataset.seek);
  player.scrollIntoView({ block: "nearest" });
  player.play();
});
// The right side stays in view; where it is higher than the window, its lower end does.
setInterval(() => {
  const side = document.querySelector("#right-side");
  side?.style.setProperty("--stuck-at", `${Math.min(12, innerHeight - side.offsetHeight - 12)}px`);
}, 250);
// Where the settings are below the preview, on phones, it is shown once more at the lower edge while they are in view.
(() => {
  const wide = matchMedia("(min-width: 900px)");
  const strip = document.createElement("div");
  strip.id = "near-preview";
  strip.hidden = true;
  strip.setAttribute("aria-hidden", "true"); // the same pictures again
  const pictures = () => [...document.querySelectorAll("#previewed img, #face-zoom img")];
  const isSeen = (one) => {
    const { top, bottom } = one.getBoundingClientRect();
    return bottom > 0 && top < innerHeight * 0.7;
  };
  strip.addEventListener("click", () => pictures()[0]?.scrollIntoView({ block: "center" }));
  setInterval(() => {
    const settings = document.querySelector("#settings-side");
    const shown = pictures();
    strip.hidden = wide.matches || !settings || !shown.length || !isSeen(settings) || shown.some(isSeen);
    if (strip.hidden) return;
    if (!strip.isConnected) settings.closest(".gradio-container").append(strip);
    const sources = shown.map((one) => one.src);
    if (sources.join() !== [...strip.children].map((one) => one.src).join()) {
      strip.replaceChildren(...sources.map((src) => Object.assign(new Image(), { src, alt: "" })));
    }
    strip.classList.toggle("pending", Boolean(document.querySelector("#preview-note .pending, #preview-note.pending")));
  }, 250);
})();
// The keys are listed by a button, and by "?" wherever nothing is typed.
addEventListener("click", (event) => {
  if (event.target.id === "show-keys") document.querySelector("#keys")?.showModal();
});
addEventListener("keydown", (event) => {
  if (event.key !== "?" || event.target.closest?.("input, textarea, [contenteditable]")) return;
  document.querySelector("#keys")?.showModal();
});
// Gradio gives its empty pictures a label without a role, which screen readers may not read.
setInterval(() => {
  for (const one of document.querySelectorAll(".empty[aria-label]:not([role])")) one.setAttribute("role", "img");
}, 250);
// The title of the browser's tab says how far the run or batch is, and when it has ended while another tab was looked
// at; then a notification says it too, for who has ticked the box. Only the tick asks the browser whether it may.
(() => {
  const KEPT = "lipsync notify"; // for reloads
  const box = () => document.querySelector("#notify input");
  const found = (selector) => document.querySelector(`#status ${selector}, #batch-status ${selector}`);
  let plain = "";
  let isRunning = false;
  const offered = "Notification" in window && isSecureContext;
  if (!offered) document.documentElement.classList.add("without-notifications");
  addEventListener("change", async (event) => {
    if (event.target !== box()) return;
    const isWanted = event.target.checked && (await Notification.requestPermission()) === "granted";
    sessionStorage.setItem(KEPT, isWanted ? "1" : "");
    if (event.target.checked && !isWanted) event.target.click();
  });
  const notify = (state) => {
    if (offered && sessionStorage.getItem(KEPT) && Notification.permission === "granted") {
      new Notification(plain, { body: state.textContent.trim() });
    }
  };
  let isRestored = false;
  setInterval(() => {
    if (!isRestored && box()) {
      isRestored = true;
      if (sessionStorage.getItem(KEPT) && !box().checked) box().click();
    }
    const bar = found("progress");
    const state = found(".status:not(.busy)");
    const isAway = document.hidden || !document.hasFocus();
    if (!isRunning && (bar || !plain)) plain = document.title.replace(/^[✓✕] /, "");
    if (bar) {
      document.title = bar.hasAttribute("value") ? `${Math.round(100 * bar.value)} % · ${plain}` : `… ${plain}`;
    } else if (isRunning && isAway) {
      if (document.hidden) document.title = `${state?.classList.contains("done") ? "✓" : "✕"} ${plain}`;
      if (state) notify(state);
    }
    if (!bar && plain && !document.hidden) document.title = plain;
    isRunning = Boolean(bar);
  }, 500);
})();
// Leaving in the middle of a run asks first.
addEventListener("beforeunload", (event) => {
  if (document.querySelector("#cancel:not([disabled]), #batch-cancel:not([disabled])")) event.preventDefault();
});
// In its settings Gradio changes the language of its own words only: the page is loaded anew in that language.
(() => {
  const root = document.documentElement;
  const asked = document.cookie.match(/lipsync-language=([\w-]+)/)?.[1];
  new MutationObserver(() => {
    if (root.lang === navigator.language || root.lang === asked) return;
    document.cookie = `lipsync-language=${root.lang}; path=/; max-age=31536000; SameSite=Lax`;
    location.reload();
  }).observe(root, { attributeFilter: ["lang"] });
})();
