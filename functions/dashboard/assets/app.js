// Keeps the page's live part fresh. Every page works without it.
"use strict";

const live = () => document.getElementById("live");

// What somebody does to the live part is theirs: what is open, ticked, chosen and typed
// stays, and so do times and buttons that script has put there.
const ours = { INPUT: ["checked", "value"], SELECT: ["value"], OPTION: ["selected"], TEXTAREA: ["value"], DETAILS: ["open"] };
const morphing = {
  ignoreActiveValue: true,
  callbacks: {
    beforeAttributeUpdated: (name, element) => !ours[element.tagName]?.includes(name),
    beforeNodeMorphed: (now, next) => !(now.nodeName === "TIME" && now.dateTime === next.dateTime),
    beforeNodeRemoved: (node) => !node.classList?.contains("copy"),
  },
};

// held reports whether a change now would take the page out of somebody's hand: text is
// selected, or the pointer has just moved over something that can be pressed.
let pointed = 0;
document.addEventListener("pointermove", (event) => {
  pointed = event.target.closest?.("#live :is(a, button, input, select, summary)") ? Date.now() : 0;
}, { passive: true });
function held() {
  const selection = getSelection();
  const selecting = selection && !selection.isCollapsed && live()?.contains(selection.anchorNode);
  return selecting || Date.now() - pointed < 3000;
}

// What is shown is as old as the last answer. Two failed refreshes in a row are told:
// one alone is often a restart.
const patience = 10000; // ms for one answer: a server that is stuck does not answer either
const retryPause = 2000;
let failures = 0;
let retrying;
let fresh = new Date();

// reached notes whether the server has shown the page: problem is what it said
// instead, or that it said nothing.
function reached(problem) {
  const before = failures;
  failures = problem ? failures + 1 : 0;
  if (!problem) fresh = new Date();
  clearTimeout(retrying);
  if (failures > 0) retrying = setTimeout(refresh, retryPause);
  if (failures < 2 && before < 2) return;
  live()?.classList.toggle("stale", failures > 0);
  const text = failures > 0 ? `${problem} What is shown here is as of ${fresh.toLocaleTimeString()}. Trying again …` : "";
  set("connection", (banner) => {
    banner.hidden = !text;
    if (banner.textContent !== text) banner.textContent = text;
  });
}

// refresh fetches the page again and swaps its live part. One runs at a time;
// what is asked for meanwhile is done once more after it.
let running = false;
let again = false;
async function refresh() {
  if (running) { again = true; return; }
  running = true;
  let problem = "";
  let text;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience) });
    if (answer.status === 401) { location.reload(); return; }
    if (answer.ok) text = await answer.text();
    else problem = `The server cannot show this page now (${answer.status}).`;
  } catch {
    problem = "The server does not answer.";
  } finally {
    running = false;
  }
  if (text !== undefined) show(text);
  reached(problem);
  if (again) { again = false; if (!problem) refresh(); }
}

// show brings what is live to what an answer says, where it differs. While somebody has
// it in hand that waits, and a newer answer takes its place.
let waiting;
function show(text) {
  clearTimeout(waiting);
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const id of ["attention", "tally-dead-letters", "tally-broker"]) swap(id, page);
  const next = page.getElementById("live");
  const now = live();
  if (!next || !now) return;
  if (held()) { waiting = setTimeout(show, 500, text); return; }
  Idiomorph.morph(now, next, morphing);
  document.title = page.title;
  prepare(now);
}

// swap takes the content of a part from another version of the page.
function swap(id, page) {
  const next = page.getElementById(id);
  set(id, (now) => { if (next && next.innerHTML !== now.innerHTML) now.replaceChildren(...next.childNodes); });
}

// every refreshes while somebody looks, until its timer is cleared.
function every(pause) {
  return setInterval(() => { if (!document.hidden && failures === 0) refresh(); }, pause);
}

function set(id, change) {
  const element = document.getElementById(id);
  if (element) change(element);
}

// progress shows how far a job is, wherever the page says so.
function progress(job) {
  for (const element of document.querySelectorAll(`[data-progress="${CSS.escape(job.job_id)}"]`)) {
    if (element.tagName === "PROGRESS") element.value = job.progress;
    else element.textContent = `${job.progress} %`;
  }
}

// listen opens a stream with these handlers and opens it again when it is lost: the
// browser does so by itself after a break, but not after an answer that is no stream.
// A lost stream has the page fetched, which tells whether the server answers at all,
// and whether there is still something to listen to.
function listen(address, kind, handlers) {
  let source;
  let ended = false;
  const open = () => {
    if (ended || live()?.dataset[kind] !== address) return;
    source = new EventSource(address);
    for (const [name, handle] of Object.entries(handlers)) source.addEventListener(name, handle);
    source.addEventListener("error", () => {
      if (!ended && failures === 0) refresh();
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2 * retryPause);
    });
  };
  open();
  return () => { ended = true; source.close(); };
}

// follow listens to one job until its end.
function follow(address) {
  const timer = every(5000); // the open bar of the timeline grows
  const close = listen(address, "stream", {
    progress: (event) => progress(JSON.parse(event.data)),
    status: (event) => { progress(JSON.parse(event.data)); refresh(); },
    // The timeline's last lines are written after the result.
    result: () => { close(); clearInterval(timer); refresh(); setTimeout(refresh, 2000); },
  });
}

// watch listens to the list: numbers change in place, anything else fetches
// the page again.
function watch(address) {
  every(10000); // a server that is stuck says nothing on the stream; times grow
  let before = "";
  listen(address, "overview", {
    jobs: (event) => {
      const all = JSON.parse(event.data);
      for (const job of all.open) progress(job);
      const now = JSON.stringify([all.counts, all.latest, all.open.map((job) => [job.job_id, job.status, job.place])]);
      // Counting very many jobs may have taken longer than the page did.
      const uncounted = document.querySelector(".tabs a") && !document.querySelector(".tabs .count");
      if (uncounted || before && before !== now) refresh();
      before = now;
    },
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
        const answer = await fetch(`${location.pathname}?${values}`);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const next = page.getElementById("estimate");
        if (next) set("estimate", (now) => now.replaceChildren(...next.childNodes));
      } catch { /* it is an estimate */ }
    }, 250);
  });
  // A page that comes back from the browser's memory would send its old key.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// prepare does what a live part needs each time it has changed.
function prepare(part) {
  for (const hidden of part.querySelectorAll("[data-all]")) hidden.hidden = false;
  showTimes(part);
  if (!navigator.clipboard) return;
  for (const element of part.querySelectorAll("[data-copy]")) {
    if (element.querySelector(".copy")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.title = button.ariaLabel = "Copy";
    button.textContent = "copy";
    element.append(" ", button);
  }
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("input[data-all]")) return;
  live().querySelectorAll("input[name=id]").forEach((box) => { box.checked = event.target.checked; });
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.dataset.copy);
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1500);
});

// "/" and Ctrl-K or Command-K go to the search, from any page.
document.addEventListener("keydown", (event) => {
  const command = event.key === "k" && (event.metaKey || event.ctrlKey);
  const slash = event.key === "/" && !event.metaKey && !event.ctrlKey && !event.altKey && !event.target.closest("input, textarea, select");
  if (!command && !slash) return;
  event.preventDefault();
  const search = document.getElementById("q");
  if (search) search.select();
  else location.href = `${document.querySelector(".brand").getAttribute("href")}#q`;
});
if (location.hash === "#q") document.getElementById("q")?.focus();

// retry loads a page that could not be shown again, once it can be.
function retry(pause) {
  setInterval(async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience) });
      if (answer.ok) location.reload();
    } catch { /* not yet */ }
  }, pause);
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
if (region) {
  // A browser stops the timers of pages that nobody sees.
  document.addEventListener("visibilitychange", () => { if (!document.hidden && (region.dataset.refresh || region.dataset.stream || region.dataset.overview)) refresh(); });
}
// An act on many jobs goes on by itself, unless somebody has come back to its page.
const goOn = document.querySelector("form[data-go-on]");
if (goOn && performance.getEntriesByType("navigation")[0]?.type === "navigate") {
  setTimeout(() => goOn.requestSubmit(), Number(goOn.dataset.goOn) * 1000);
}
const away = document.querySelector("[data-retry]");
if (away) retry(Number(away.dataset.retry));
const form = document.getElementById("sweep");
if (form) estimate(form);

// A part that other pages have too is fetched from there when it is opened, and each
// minute while it is. Whether it is open is remembered.
for (const part of document.querySelectorAll("details[data-part]")) {
  const key = `open:${part.id}`;
  const load = async () => {
    if (!part.open || document.hidden) return;
    try {
      const answer = await fetch(part.dataset.part, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience) });
      if (!answer.ok) return;
      const content = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.dataset.of);
      if (content) part.replaceChildren(part.querySelector("summary"), content);
    } catch { /* the link to the other page stays */ }
  };
  part.addEventListener("toggle", () => { localStorage.setItem(key, part.open ? "1" : "0"); load(); });
  setInterval(load, 60000);
  part.open = (localStorage.getItem(key) ?? (innerWidth >= 1000 ? "1" : "0")) === "1";
}
