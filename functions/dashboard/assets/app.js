// Keeps the page's live part fresh. Every page works without it.
"use strict";

const live = () => document.getElementById("live");

// keep remembers what somebody has done to the live part, to do it again to
// the next one.
function keep(now) {
  const focused = document.activeElement?.id;
  const scrolled = [...now.querySelectorAll(".scroll")].map((e) => e.scrollLeft);
  const open = [...now.querySelectorAll("details[open][id]")].map((e) => e.id);
  const ticked = [...now.querySelectorAll("input:checked[id]")].map((e) => e.id);
  const chosen = [...now.querySelectorAll("select[id]")].map((e) => [e.id, e.value]);
  return (next) => {
    next.querySelectorAll(".scroll").forEach((e, i) => { e.scrollLeft = scrolled[i] || 0; });
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const id of ticked) { const box = document.getElementById(id); if (box) box.checked = true; }
    for (const [id, value] of chosen) { const list = document.getElementById(id); if (list) list.value = value; }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };
}

// refresh fetches the page again and swaps its live part. One runs at a time;
// what is asked for meanwhile is done once more after it.
let running = false;
let again = false;
async function refresh() {
  if (running) { again = true; return; }
  running = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById("live");
    const now = live();
    if (!next || !now || next.innerHTML === now.innerHTML) return;
    const restore = keep(now);
    now.replaceWith(next);
    restore(next);
    document.title = page.title;
    prepare(next);
  } catch { // the server is away: the stream comes back by itself, and so does this
  } finally {
    running = false;
    if (again) { again = false; refresh(); }
  }
}

// every refreshes while somebody looks, until its timer is cleared.
function every(pause) {
  return setInterval(() => { if (!document.hidden) refresh(); }, pause);
}

function set(id, change) {
  const element = document.getElementById(id);
  if (element) change(element);
}

// follow listens to one job until its end.
function follow(address) {
  const source = new EventSource(address);
  const timer = every(5000); // the open bar of the timeline grows
  const progress = (event) => {
    const job = JSON.parse(event.data);
    set("progress", (bar) => { bar.value = job.progress; });
    set("percent", (text) => { text.textContent = `${job.progress} %`; });
  };
  source.addEventListener("progress", progress);
  source.addEventListener("status", (event) => { progress(event); refresh(); });
  // The timeline's last lines are written after the result.
  source.addEventListener("result", () => { source.close(); clearInterval(timer); refresh(); setTimeout(refresh, 2000); });
}

// watch listens to the list: numbers change in place, anything else fetches
// the page again.
function watch(address) {
  const source = new EventSource(address);
  let before = "";
  source.addEventListener("jobs", (event) => {
    const all = JSON.parse(event.data);
    for (const job of all.open) set(`bar-${job.job_id}`, (bar) => { bar.value = job.progress; });
    const now = JSON.stringify([all.counts, all.latest, all.open.map((job) => [job.job_id, job.status, job.place])]);
    // Counting very many jobs may have taken longer than the page did.
    const uncounted = document.querySelector(".tabs a") && !document.querySelector(".tabs .count");
    if (uncounted || before && before !== now) refresh();
    before = now;
  });
}

// estimate keeps the number of combinations of the form up to date. The server
// counts: there is one set of rules.
function estimate(form) {
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const values = new URLSearchParams(new FormData(form));
      values.delete("key");
      try {
        const answer = await fetch(`/new?${values}`);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const next = page.getElementById("estimate");
        if (next) set("estimate", (now) => now.replaceChildren(...next.childNodes));
      } catch { /* it is an estimate */ }
    }, 250);
  });
  // A page that comes back from the browser's memory would send its old key.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// prepare does what a live part needs anew each time it is swapped.
function prepare(part) {
  for (const hidden of part.querySelectorAll("[data-all]")) hidden.hidden = false;
  const all = part.querySelector("input[data-all]");
  all?.addEventListener("change", () => {
    part.querySelectorAll("input[name=id]").forEach((box) => { box.checked = all.checked; });
  });
}

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

const region = live();
if (region) prepare(region);
if (region?.dataset.refresh) every(Number(region.dataset.refresh));
if (region?.dataset.stream) follow(region.dataset.stream);
if (region?.dataset.overview) watch(region.dataset.overview);
const form = document.getElementById("sweep");
if (form) estimate(form);
