// Keeps the page's live part fresh. Every page works without it.
"use strict";

const live = () => document.getElementById("live");

// refresh fetches the page again and swaps its live part, keeping the focus
// and the place in scrolled tables.
async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.status === 401) { location.reload(); return; }
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById("live");
  const now = live();
  if (!next || !now || next.innerHTML === now.innerHTML) return;
  const focused = document.activeElement && document.activeElement.id;
  const scrolled = [...now.querySelectorAll(".scroll")].map((e) => e.scrollLeft);
  now.replaceWith(next);
  next.querySelectorAll(".scroll").forEach((e, i) => { e.scrollLeft = scrolled[i] || 0; });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  document.title = page.title;
}

// every refreshes while somebody looks.
function every(pause) {
  setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, pause);
}

// follow listens to one job until its end.
function follow(address) {
  const source = new EventSource(address);
  const progress = (event) => {
    const job = JSON.parse(event.data);
    const bar = document.getElementById("progress");
    if (bar) bar.value = job.progress;
    const percent = document.getElementById("percent");
    if (percent) percent.textContent = `${job.progress} %`;
  };
  source.addEventListener("progress", progress);
  source.addEventListener("status", (event) => { progress(event); refresh().catch(() => {}); });
  source.addEventListener("result", () => { source.close(); refresh().catch(() => {}); });
}

const region = live();
if (region?.dataset.refresh) every(Number(region.dataset.refresh));
if (region?.dataset.stream) follow(region.dataset.stream);
